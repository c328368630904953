"""Microphones: one network that hears all of them, one network each with their scores fused, and the best one alone.

    python benchmarks/microphones.py simulated fan --fan folder:../shared/recordings/fan

The score is `innovations`, the network is the default of studies/any_machine.toml, trained without an epoch's choice.
Every network is trained once a fold, and the statistics of its clips are kept in --folder, so an interrupted command
goes on and other choices train nothing. Of one microphone the figure is the mean over all of them; 2 or 4 of 8 are
spread as widely as can be.

Validation chooses the statistics and the fusion (the mean of the networks' sigmas, or the highest), by the rule of one
standard error, the threshold, and the best microphone, which is the one with the highest AUC there, or the first within
one standard error. One more detector is the network of all, of which validation may choose one microphone's statistics.
Test takes give the figures, with intervals by takes and paired differences.

`simulated` is another simulation in each fold. `fan` is judged twice: as it was recorded, and at equal level, where the
statistics are chosen from those without the level. That is the same network: the front end gives every clip and
microphone one level anyway.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.innovations import SIMULATED
from benchmarks.judged_elsewhere import dataset_of
from benchmarks.kept_results import version_of_results
from benchmarks.listed_recordings import open_corpus
from core.baselines.candidates import of_innovations
from core.baselines.choice import NUM_DRAWS_TO_CHOOSE, best_threshold, decisions_of, is_within_an_error
from core.baselines.comparison_table import figure_text
from core.baselines.paired_bootstrap import Figure, SplitDecisions, draw_takes, mean_area, pooled_f1
from core.data.audio import Waveform
from core.data.dataset import Dataset
from core.data.judged_clips import JUDGED
from core.data.recordings import Corpus, Recording
from core.decision.fitting import fit_statistic
from core.decision.metrics import FloatArray
from core.decision.postprocess import STATISTICS
from core.model.frame_statistics import FrameVectors, statistic_groups
from core.model.scored_training import scored_epochs
from core.study_files import find_study_file
from core.thread_pool import ThreadPool
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec

FOLDS = 4
NUM_MICROPHONES = {"simulated": 4, "fan": 8}
"""By task."""
CHOICES = {"as recorded": STATISTICS, "at equal level": tuple(name for name in STATISTICS if name != "all")}
LEVELS = {"simulated": ("as recorded",), "fan": ("as recorded", "at equal level")}
FUSIONS: Mapping[str, Callable[..., FloatArray]] = {"mean": np.mean, "highest": np.max}

Set = tuple[int, ...]
"""Of microphones."""
SplitScores = Mapping[str, FloatArray]
"""(N,) clip scores in sigmas of validation and test."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """A choice, made on validation."""

    choice: str
    validation_auc: float
    test: SplitDecisions


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """Every set of microphones of one fold."""

    clips: Dataset
    """Of all microphones."""
    scores: Mapping[Set, Mapping[str, SplitScores]]
    """Of the set's own network, by statistics."""
    of_each: Mapping[int, Mapping[str, SplitScores]]
    """Of one microphone by the network that hears all, by statistics."""

    @property
    def everything(self) -> Set:
        """All microphones."""
        return max(self.scores, key=len)

    def joint(self, microphones: Set, statistics: Sequence[str]) -> Judged:
        """One network that hears all of the set."""
        return choose_scores({name: self.scores[microphones][name] for name in statistics}, self.clips)

    def fused(self, microphones: Set, statistics: Sequence[str]) -> Judged:
        """One network for each of the set."""

        def of(name: str, fusion: str) -> SplitScores:
            singles = [self.scores[(microphone,)][name] for microphone in microphones]
            return {split: FUSIONS[fusion]([each[split] for each in singles], axis=0) for split in singles[0]}

        pairs = product(statistics, FUSIONS)
        return choose_scores({f"{name}, {fusion}": of(name, fusion) for name, fusion in pairs}, self.clips)

    def best_single(self, statistics: Sequence[str]) -> Judged:
        singles = [self.joint(each, statistics) for each in self.scores if len(each) == 1]
        return max(singles, key=lambda each: each.validation_auc)

    def first_single(self, statistics: Sequence[str]) -> Judged:
        """The best microphone by the rule that chooses everything else."""
        singles = {each[0]: found for each, found in self.scores.items() if len(each) == 1}
        return choose_scores(_by_microphone(singles, statistics), self.clips)

    def all_or_one(self, statistics: Sequence[str]) -> Judged:
        """The network of all, and all microphones or one of them."""
        joint = {name: self.scores[self.everything][name] for name in statistics}
        return choose_scores(joint | _by_microphone(self.of_each, statistics), self.clips)


def _by_microphone(
    scores: Mapping[int, Mapping[str, SplitScores]], statistics: Sequence[str]
) -> dict[str, SplitScores]:
    return {f"{name}, {each + 1}": found[name] for name in statistics for each, found in scores.items()}


def sets_of(num_microphones: int) -> list[Set]:
    """Each microphone, then 2, 4 .. and all of them, spread as widely as can be."""
    steps = [num_microphones // 2**power for power in range(1, num_microphones.bit_length())]
    return [(each,) for each in range(num_microphones)] + [tuple(range(0, num_microphones, step)) for step in steps]


def choose_scores(candidates: Mapping[str, SplitScores], dataset: Dataset) -> Judged:
    """The first candidate whose AUC on validation is within one standard error of the highest."""
    validation, test = dataset.validation, dataset.test
    splits = {name: [decisions_of(each["validation"], validation, 0.0)] for name, each in candidates.items()}
    draws = draw_takes(next(iter(splits.values())), num_draws=NUM_DRAWS_TO_CHOOSE)
    areas = {name: mean_area(each, draws) for name, each in splits.items()}
    highest = max(areas.values(), key=lambda each: float(each[0]))
    name = next(name for name, each in areas.items() if is_within_an_error(highest, each))
    chosen = candidates[name]
    threshold = best_threshold(chosen["validation"], validation.is_anomalous)
    return Judged(
        choice=name,
        validation_auc=float(areas[name][0]),
        test=decisions_of(chosen["test"], test, threshold),
    )


def of_microphones(corpus: Corpus, microphones: Set) -> Corpus:
    """The same takes with these microphones alone."""
    name = "-".join(map(str, microphones))
    heard = tuple(
        replace(
            take,
            num_channels=len(microphones),
            digest=f"{take.digest}/{name}",
            read=partial(_read, take, microphones),
        )
        for take in corpus.recordings
    )
    return replace(corpus, recordings=heard)


def _read(take: Recording, microphones: Set) -> Waveform:
    return take.read()[list(microphones)]


def corpus_of(task: str, fold: int, options: argparse.Namespace) -> Corpus:
    if task == "simulated":
        simulation = {**SIMULATED, "num_microphones": NUM_MICROPHONES[task], "sample_rate_hz": 16_000, "seed": fold + 1}
        return open_corpus("simulated", options=simulation)
    return open_corpus(options.fan)


def statistics_of(dataset: Dataset, spec: StudySpec, *, seed: int) -> dict[str, FrameVectors]:
    """(N, C, F, K) by split, of a network that is trained on the dataset; and its `seconds`, with the scoring."""
    config, training = spec.default_experiment, spec.training
    training = replace(training, epochs=1, seconds_per_epoch=training.epochs * training.seconds_per_epoch)
    config = replace(config, training=training)
    context = config.wavenet(dataset.num_channels).receptive_field_samples
    setup, started = config.training_setup(dataset.num_channels, context), time.process_time()
    with tempfile.TemporaryDirectory() as folder, ThreadPool(1) as pool:
        (epoch,) = scored_epochs(setup, dataset, Path(folder), seed=seed, device=torch.device("cpu"), pool=pool)
    found = {split: epoch.scores[split].statistics for split in JUDGED}
    return found | {"seconds": np.array(time.process_time() - started)}


def network_of(
    task: str, fold: int, microphones: Set, options: argparse.Namespace, spec: StudySpec
) -> dict[str, FrameVectors]:
    """Its statistics, from their file of this version, or trained and kept there."""
    name = f"{task}-{fold + 1}-{'-'.join(map(str, microphones))}"
    file = options.folder / f"{name}-{version_of_results(are_judged=False)}.npz"
    if not file.exists():
        corpus = of_microphones(corpus_of(task, fold, options), microphones)
        dataset = dataset_of(corpus, fold, spec, options.folder, network_rate_hz=spec.front_end.sample_rate_hz)
        found: dict[str, Any] = statistics_of(dataset, spec, seed=fold + 1)
        scratch = file.with_suffix(".part.npz")
        np.savez(scratch, **found)
        scratch.replace(file)
        print(file.stem, f"{found['seconds']:.0f} s", file=sys.stderr, flush=True)
    with np.load(file) as kept:
        return dict(kept)


def clip_scores(frames: Mapping[str, np.ndarray], dataset: Dataset, frame_ms: float) -> Mapping[str, SplitScores]:
    """In sigmas, by statistics."""
    healthy, judged, found = dataset.calibration, dataset.judged(), {}
    for statistics in STATISTICS:
        post = of_innovations(statistics)
        fitted = fit_statistic(post, frames["calibration"], healthy.machines, healthy.recording_ids, frame_ms=frame_ms)
        found[statistics] = {
            split: fitted.judge(frames[split], judged[split].machines).clip_scores for split in ("validation", "test")
        }
    return found


def of_microphone(frames: Mapping[str, FrameVectors], microphone: int) -> dict[str, FrameVectors]:
    """(N, C, F, K) statistics to those of one microphone, as a network of one has them: without other microphones."""
    with_others = statistic_groups(frames["calibration"].shape[1])["whiteness"].stop - 1
    return {
        split: np.delete(frames[split][:, microphone : microphone + 1], with_others, axis=-1)
        for split in ("calibration", "validation", "test")
    }


def fold_of(task: str, fold: int, options: argparse.Namespace, spec: StudySpec) -> Fold:
    corpus, heard_hz = corpus_of(task, fold, options), spec.front_end.sample_rate_hz
    dataset = dataset_of(corpus, fold, spec, options.folder, network_rate_hz=heard_hz)
    frames = {each: network_of(task, fold, each, options, spec) for each in sets_of(NUM_MICROPHONES[task])}
    everything = max(frames, key=len)
    scored = partial(clip_scores, dataset=dataset, frame_ms=spec.scoring.frame_ms)
    return Fold(
        clips=dataset,
        scores={microphones: scored(found) for microphones, found in frames.items()},
        of_each={microphone: scored(of_microphone(frames[everything], microphone)) for microphone in everything},
    )


def print_detectors(folds: Sequence[Fold], statistics: Sequence[str]) -> None:
    """One network of all microphones, against one network each, and the best of those."""
    everything = folds[0].everything
    detectors = {
        f"one network, {len(everything)} microphones": [fold.joint(everything, statistics) for fold in folds],
        f"{len(everything)} networks of one, fused": [fold.fused(everything, statistics) for fold in folds],
        "the best microphone alone": [fold.best_single(statistics) for fold in folds],
        "the same, within one error": [fold.first_single(statistics) for fold in folds],
        f"one network, {len(everything)} microphones or one of them": [fold.all_or_one(statistics) for fold in folds],
    }
    print("| detector | AUC | the one network is ahead by | AUC, validation | F1 | AUC by fold | chosen by fold |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    draws = draw_takes([each.test for each in next(iter(detectors.values()))])
    first: FloatArray | None = None
    for name, judged in detectors.items():
        splits = [each.test for each in judged]
        areas = mean_area(splits, draws)
        lead = "" if first is None else figure_text(Figure.of(first - areas), sign=True)
        first = areas if first is None else first
        validation = f"{np.mean([each.validation_auc for each in judged]):.3f}"
        by_fold = " ".join(f"{mean_area([split], draws)[0]:.2f}" for split in splits)
        f1 = figure_text(Figure.of(pooled_f1(splits, draws)))
        choices = "; ".join(each.choice for each in judged)
        print(f"| {name} | {figure_text(Figure.of(areas))} | {lead} | {validation} | {f1} | {by_fold} | {choices} |")


def print_growth(folds: Sequence[Fold], statistics: Sequence[str]) -> None:
    """AUC by the number of microphones: of one network, and of networks of one, fused."""
    print("\n| microphones | one network | networks of one, fused | one network is ahead by |")
    print("| --- | --- | --- | --- |")
    draws = draw_takes([fold.joint((0,), statistics).test for fold in folds])
    for size in sorted({len(each) for each in folds[0].scores}):
        sets = [each for each in folds[0].scores if len(each) == size]
        joint, fused = (
            np.mean([mean_area([of(fold, each, statistics).test for fold in folds], draws) for each in sets], axis=0)
            for of in (Fold.joint, Fold.fused)
        )
        figures = [figure_text(Figure.of(each)) for each in (joint, fused)]
        print(f"| {size} | {' | '.join(figures)} | {figure_text(Figure.of(joint - fused), sign=True)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tasks", nargs="+", choices=tuple(NUM_MICROPHONES))
    parser.add_argument("--fan", default="folder:../shared/recordings/fan")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    parser.add_argument("--folder", type=Path, default=Path("runs/microphones"), help="where statistics are kept")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    spec = load_study_file(find_study_file("any_machine"))
    for task in options.tasks:
        folds = [fold_of(task, fold, options, spec) for fold in options.folds]
        for level in LEVELS[task]:
            print(f"\n### {task}, {level}\n")
            print_detectors(folds, CHOICES[level])
            print_growth(folds, CHOICES[level])
            sys.stdout.flush()


if __name__ == "__main__":
    main()
