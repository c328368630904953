"""Choices made elsewhere: what a detector is worth on a machine that no choice was made on.

    python benchmarks/elsewhere.py --cars folder:../shared/recordings/cars --fan folder:../shared/recordings/fan

Every detector is trained and calibrated on healthy takes of the judged machine. Everything that is chosen (statistics,
post-processing, variant) is the first choice that is within one standard error of the highest mean AUC on validation
clips of the other machines, and the threshold has the highest mean F1 there. It is then judged, as it is, on the
machine's test clips:

    (a)  the cars, chosen on fan and simulated car      (c)  each car, chosen on the other cars, fan and simulated car
    (b)  the fan, chosen on the cars and simulated car

Tables in which the take CAR01_NORMAL is tested come again without it; what was chosen stays the same. WaveNet is the
default configuration of studies/any_machine.toml. A fold of a task is scored once and kept in --folder, so an
interrupted command goes on. `--quick` runs one fold.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.kept_results import version_of_results
from benchmarks.listed_recordings import open_corpus
from benchmarks.spliced_events import ODD_TAKE
from core.baselines import families
from core.baselines.choice import (
    NUM_DRAWS_TO_CHOOSE,
    ScoredDataset,
    is_within_an_error,
    judge_split,
    of_innovations,
)
from core.baselines.comparison import fit_and_score
from core.baselines.paired_bootstrap import Draws, Figure, SplitDecisions, draw_takes, mean_area, of_machine, pooled_f1
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.recordings import Corpus
from core.data.store import Store
from core.decision.innovations_statistic import SOUND
from core.decision.metrics import FloatArray, f1_score
from core.decision.normal_sound import HEALTHY_DEVIATIONS, NormalSound, fit_normal_sound, fit_vectors
from core.decision.postprocess import STATISTICS, PostprocessingConfig
from core.model.scored_training import scored_epochs
from core.study_files import find_study_file
from core.thread_pool import ThreadPool
from core.whole_file import write_text
from hpo.search.study_file import StudySpec, load_study_file

FOLDS = 4
WAVENET, BANDS = "WaveNet", "bands, the same rule"
BAND_CHOICES = {"with level": (*SOUND, "level"), "relative": SOUND}
"""The groups of statistics that need no network."""
POST_CHOICES = tuple(
    PostprocessingConfig(window_ms=window_ms, two_sided=two_sided, sigma="pooled")
    for window_ms in (2000.0, 500.0, 100.0)
    for two_sided in (False, True)
)
"""Of the alternatives."""
USUAL_ERROR_DEVIATION = 0.2
"""Of the log of an alternative's error between healthy takes, as HEALTHY_DEVIATIONS are of WaveNet's statistics."""
STEPS_AND_RATES = ((1000, 1e-3),)
SIMULATED = {"seconds": 2.0, "num_normal": 64, "num_anomalous": 40, "num_microphones": 4, "severity": 0.8}

SplitScores = dict[str, FloatArray]
"""(N,) clip scores in sigmas by split."""
Scores = Mapping[str, Mapping[str, SplitScores]]
"""By detector and choice."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """One machine in one fold of its task."""

    task: str
    machine: str
    decisions: Mapping[str, Mapping[str, Mapping[str, SplitDecisions]]]
    """By detector, choice and split; thresholds are not set."""


def corpus_of(task: str, fold: int, options: argparse.Namespace) -> Corpus:
    if task == "simulated":
        return open_corpus("simulated", options={**SIMULATED, "sample_rate_hz": 16_000, "seed": fold + 1})
    return open_corpus(getattr(options, task))


def dataset_of(
    corpus: Corpus, fold: int, spec: StudySpec, folder: Path, *, network_rate_hz: int | None = None
) -> Dataset:
    spec = spec.settled(corpus)
    config = DataConfig(
        sample_rate_hz=spec.front_end.read_rate_hz,
        clips=spec.clips,
        split=replace(spec.split, folds=FOLDS, fold=fold),
        speed_perturbation=spec.speed_perturbation,
        network_rate_hz=network_rate_hz,
    )
    return prepare_dataset(corpus, config, store=Store(folder / "store", max_gb=4))


def wavenet_scores(dataset: Dataset, spec: StudySpec, *, seed: int, pool: ThreadPool) -> Scores:
    """Of WaveNet, and of the same rule on the statistics that need no network."""
    config = spec.default_experiment
    context = config.wavenet(dataset.num_channels).receptive_field_samples
    setup = config.training_setup(dataset.num_channels, context)
    with tempfile.TemporaryDirectory() as folder:
        *_, last = scored_epochs(setup, dataset, Path(folder), seed=seed, device=torch.device("cpu"), pool=pool)
    frames = {name: scores.of("innovations") for name, scores in last.scores.items()}
    frame_ms = config.scoring.frame_ms
    scored = _scored(WAVENET, frames, frame_ms)
    found: dict[str, dict[str, FloatArray]] = {}
    for statistics in STATISTICS:
        post = of_innovations(statistics)
        found[statistics] = _clip_scores(scored, dataset, post, kind="innovations")
    return {WAVENET: found, BANDS: {name: _band_scores(frames, dataset, name, frame_ms) for name in BAND_CHOICES}}


def _scored(name: str, frames: Mapping[str, np.ndarray], frame_ms: float) -> ScoredDataset:
    return ScoredDataset(
        name=name,
        setup="",
        scores={"innovations": frames},
        frame_ms=frame_ms,
        first_s=0.0,
        num_weights=0,
        seconds_to_train=0.0,
        seconds_to_score=0.0,
    )


def _clip_scores(scored: ScoredDataset, dataset: Dataset, post: PostprocessingConfig, *, kind: str) -> SplitScores:
    judged = dataset.judged()
    return {split: judge_split(scored, judged, kind, post, split).clip_scores for split in ("validation", "test")}


def _band_scores(frames: Mapping[str, np.ndarray], dataset: Dataset, choice: str, frame_ms: float) -> SplitScores:
    healthy = dataset.calibration
    normal = fit_normal_sound(
        frames["calibration"],
        healthy.machines,
        healthy.recording_ids,
        groups=BAND_CHOICES[choice],
        frame_ms=frame_ms,
    )
    return _scores_by(normal, {split: normal.vectors(each) for split, each in frames.items()}, dataset)


def _error_vectors(frames: np.ndarray) -> dict[str, FloatArray]:
    """(N, C, F) errors of an alternative to the log of their mean over time and of their deviation, (N, C, 2)."""
    moments = [frames.mean(axis=-1, dtype=np.float64), frames.std(axis=-1, dtype=np.float64)]
    return {"error": np.log(np.stack(moments, axis=-1) + 1e-6)}


def _error_scores(vectors: Mapping[str, Mapping[str, FloatArray]], dataset: Dataset) -> SplitScores:
    """By the rule for WaveNet's innovations."""
    healthy, usual = dataset.calibration, HEALTHY_DEVIATIONS | {"error": USUAL_ERROR_DEVIATION}
    left_out = fit_vectors(vectors["calibration"], healthy.machines, healthy.recording_ids, usual=usual)
    return _scores_by(left_out.normal, vectors, dataset)


def _scores_by(normal: NormalSound, vectors: Mapping[str, Mapping[str, FloatArray]], dataset: Dataset) -> SplitScores:
    """Of clips' (N, C, statistics) by split and group."""
    found = {}
    for split in ("validation", "test"):
        machines = np.array(dataset.judged()[split].machines)
        found[split] = np.empty(len(machines))
        for machine in set(machines):
            own = machines == machine
            deviations = normal.deviations({name: each[own] for name, each in vectors[split].items()}, machine)
            found[split][own] = normal.scores(deviations)
    return found


def alternatives_scores(dataset: Dataset, *, seed: int) -> Scores:
    """Every variant of every alternative, on takes as they were recorded and at the other speeds."""
    found: dict[str, dict[str, dict[str, FloatArray]]] = {}
    for each in dict.fromkeys([dataset.config.speed_perturbation, None]):
        data = dataset if each else dataset.as_recorded
        for name, variants in families(STEPS_AND_RATES).items():
            for alternative in variants:
                scored = fit_and_score(alternative, data, seed=seed)
                for post in POST_CHOICES:
                    side = "two-sided" if post.two_sided else "one-sided"
                    choice = f"{scored.setup}, {post.window_ms:g} ms, {side}".replace("several speeds", "speeds")
                    found.setdefault(name, {})[choice] = _clip_scores(scored, data, post, kind="its own")
                if name.startswith("log-mel"):
                    errors = {split: _error_vectors(each) for split, each in scored.scores["its own"].items()}
                    same_rule = f"{scored.setup}, the same rule".replace("several speeds", "speeds")
                    found[name][same_rule] = _error_scores(errors, data)
    return found


def scores_of(corpus: Corpus, task: str, fold: int, spec: StudySpec, *, folder: Path, pool: ThreadPool) -> list[Judged]:
    """From the folder's files of the task's fold, or computed and kept there."""
    dataset, name = dataset_of(corpus, fold, spec, folder), f"{task}-{fold + 1}"
    heard = dataset_of(corpus, fold, spec, folder, network_rate_hz=spec.front_end.sample_rate_hz)
    wavenet = _kept(folder, name, lambda: wavenet_scores(heard, spec, seed=fold + 1, pool=pool))
    others = _kept(folder, f"{name}-others", lambda: alternatives_scores(dataset, seed=fold + 1))
    return list(_by_machine(task, {**wavenet, **others}, dataset))


def _kept(folder: Path, name: str, compute: Callable[[], Scores]) -> Scores:
    file = folder / f"{name}-{version_of_results()}.json"
    if not file.exists():
        rounded = json.dumps(compute(), default=lambda array: [round(float(score), 5) for score in array])
        write_text(file, rounded)
        print(file.stem, file=sys.stderr, flush=True)
    found: Scores = json.loads(file.read_text())
    return found


def _by_machine(task: str, scores: Scores, dataset: Dataset) -> Iterator[Judged]:
    for machine in sorted(set(dataset.test.machines)):
        yield Judged(
            task=task,
            machine=machine,
            decisions={
                detector: {
                    choice: {split: _decisions(split, values, dataset, machine) for split, values in splits.items()}
                    for choice, splits in choices.items()
                }
                for detector, choices in scores.items()
            },
        )


def _decisions(split: str, scores: FloatArray, dataset: Dataset, machine: str) -> SplitDecisions:
    clips = dataset.judged()[split]
    everything = SplitDecisions(
        scores=np.array(scores),
        threshold=0.0,
        is_anomalous=clips.is_anomalous,
        recording_ids=clips.recording_ids,
        machines=clips.machines,
    )
    return of_machine(everything, machine)


def healthy_takes(judged: Judged) -> set[str]:
    """Of the test clips, which are the same for every detector and choice."""
    by_choice = next(iter(judged.decisions.values()))
    test = next(iter(by_choice.values()))["test"]
    return {take for take, is_anomalous in zip(test.recording_ids, test.is_anomalous, strict=True) if not is_anomalous}


def choose_on(others: Sequence[Judged], detector: str) -> tuple[str, float]:
    """The first choice whose mean AUC on validation clips of the others is within one standard error over takes of the
    highest, and the threshold with the highest mean F1 there. Tasks count equally."""
    by_task: dict[str, list[Judged]] = {}
    for each in others:
        by_task.setdefault(each.task, []).append(each)
    choices = [
        choice for choice in others[0].decisions[detector] if all(choice in j.decisions[detector] for j in others)
    ]
    assert choices, f"no choice of {detector} is possible for all machines"
    draws = {
        task: draw_takes(_validation(judged, detector, choices[0]), num_draws=NUM_DRAWS_TO_CHOOSE)
        for task, judged in by_task.items()
    }
    areas = {
        choice: np.mean(
            [mean_area(_validation(judged, detector, choice), draws[task]) for task, judged in by_task.items()], axis=0
        )
        for choice in choices
    }
    highest = max(choices, key=lambda choice: float(areas[choice][0]))
    chosen = next(choice for choice in choices if is_within_an_error(areas[highest], areas[choice]))
    pooled = np.concatenate([each.scores for each in _validation(others, detector, chosen)])
    levels = np.unique(np.quantile(pooled, np.linspace(0.02, 0.98, 97)))

    def mean_f1(level: float) -> float:
        of_tasks = [
            np.mean([_f1(each, level) for each in _validation(judged, detector, chosen)]) for judged in by_task.values()
        ]
        return float(np.mean(of_tasks))

    return chosen, float(max(levels, key=mean_f1))


def _validation(judged: Sequence[Judged], detector: str, choice: str) -> list[SplitDecisions]:
    return [each.decisions[detector][choice]["validation"] for each in judged]


def _f1(decisions: SplitDecisions, threshold: float) -> float:
    return f1_score(decisions.scores >= threshold, decisions.is_anomalous)


def print_table(
    title: str, judged: Sequence[Judged], others: Sequence[Judged], *, without: Collection[str] = ()
) -> None:
    """Every detector on the judged machines' test clips, chosen on the others; `without` names takes that are not
    counted."""
    print(f"\n### {title}\n")
    print("| detector | AUC | WaveNet ahead by | F1 | false alarms | AUC with its own choice | chosen |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    of_wavenet: tuple[Draws, FloatArray] | None = None
    for detector in judged[0].decisions:
        choice, threshold = choose_on(others, detector)
        own, _ = choose_on(judged, detector)
        splits = [replace(each.decisions[detector][choice]["test"], threshold=threshold) for each in judged]
        own_splits = [each.decisions[detector][own]["test"] for each in judged]
        draws = of_wavenet[0] if of_wavenet else draw_takes(splits, without=without)
        areas = mean_area(splits, draws)
        of_wavenet = of_wavenet or (draws, areas)
        lead = "" if detector == WAVENET else text_of(Figure.of(of_wavenet[1] - areas), signed=True)
        cells = [
            detector,
            text_of(Figure.of(areas)),
            lead,
            text_of(Figure.of(pooled_f1(splits, draws))),
            f"{false_alarms(splits, without):.0%}",
        ]
        cells += [f"{mean_area(own_splits, draws)[0]:.3f}", f"{choice}; {threshold:.2f} sigmas"]
        print(f"| {' | '.join(cells)} |", flush=True)


def false_alarms(splits: Sequence[SplitDecisions], without: Collection[str] = ()) -> float:
    """The share of healthy clips that are flagged, each split by its own threshold."""
    flagged = [
        score >= split.threshold
        for split in splits
        for score, is_anomalous, take in zip(split.scores, split.is_anomalous, split.recording_ids, strict=True)
        if not is_anomalous and take not in without
    ]
    return float(np.mean(flagged))


def text_of(figure: Figure, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{figure.value:{sign}.3f} ({figure.low:{sign}.3f} to {figure.high:{sign}.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cars", required=True, help="such as folder:../shared/recordings/cars")
    parser.add_argument("--fan", required=True, help="such as folder:../shared/recordings/fan")
    parser.add_argument("--folder", type=Path, default=Path("runs/elsewhere"), help="where scores are kept")
    parser.add_argument("--quick", action="store_true", help="one fold of each task")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    spec = load_study_file(find_study_file("any_machine"))
    with ThreadPool(1) as pool:
        everything = [
            judged
            for fold in range(1 if options.quick else FOLDS)
            for task in ("cars", "fan", "simulated")
            for judged in scores_of(corpus_of(task, fold, options), task, fold, spec, folder=options.folder, pool=pool)
        ]
    cars = [each for each in everything if each.task == "cars"]
    fan = [each for each in everything if each.task == "fan"]
    tables = {"(a) The cars, chosen on fan and simulated car": cars}
    tables["(b) The fan, chosen on cars and simulated car"] = fan
    for machine in sorted({each.machine for each in cars}):
        tables[f"(c) {machine}, chosen on the rest"] = [each for each in cars if each.machine == machine]
    for title, judged in tables.items():
        others = [each for each in everything if each not in judged]
        print_table(title, judged, others)
        healthy = set[str]().union(*(healthy_takes(each) for each in judged))
        if ODD_TAKE in healthy and len(healthy) > 1:
            print_table(f"{title}, without {ODD_TAKE}", judged, others, without=[ODD_TAKE])


if __name__ == "__main__":
    main()
