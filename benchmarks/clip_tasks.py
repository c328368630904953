"""Clips of the cars, long, short and in noise: WaveNet's innovations, its rule on bands alone, and every alternative.

    python benchmarks/clip_tasks.py --data folder:../shared/recordings/cars [--tasks 10s 1s noise-0db] [--folds 0 1 2 3]

WaveNet is the default configuration of studies/any_machine.toml, without its search; its rule on the bands of the sound
needs no network. For every detector the statistics or post-processing, the variant and the threshold are chosen on
validation clips, by the one-standard-error rule, and it is judged on test clips. Intervals are by takes, and the lead
is paired, on the same draws.

A second table has the AUC of each machine. The decisions of a detector in a fold are kept in --folder, and the same
command resumes from them.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.listed_recordings import open_corpus
from benchmarks.microphones import choose_scores
from benchmarks.scores_by_choice import BAND_CHOICES, BANDS, band_scores
from benchmarks.spliced_events import ODD_TAKE, STEPS_AND_RATES, WAVENET, best_variant, kept, scored_wavenet
from core.baselines import families
from core.baselines.candidates import of_innovations
from core.baselines.choice import Choice, ScoredDataset, choose
from core.baselines.comparison import Row, row_of
from core.baselines.comparison_table import Line, figure_text, lines_of
from core.data.clips import ClipConfig
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.noise import NoiseConfig
from core.data.store import Store
from core.decision.metrics import f1_score
from core.model.scoring import INNOVATIONS
from core.study_files import find_study_file
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec

FOLDS = 4
LONG = ClipConfig(clip_seconds=10.0, evaluation_seconds=360, calibration_seconds=180)
SHORT = ClipConfig(clip_seconds=1.0, evaluation_seconds=240, calibration_seconds=120)
TASKS: dict[str, tuple[ClipConfig, float | None]] = {
    "10s": (LONG, None),
    "1s": (SHORT, None),
    "noise-0db": (LONG, 0.0),
    "noise-6db": (LONG, 6.0),
    "noise-12db": (LONG, 12.0),
}
"""Clips, and the signal-to-noise ratio of pink noise in every take, training included."""


def dataset_of(
    task: str,
    fold: int,
    rate_hz: int,
    options: argparse.Namespace,
    spec: StudySpec,
    *,
    network_rate_hz: int | None = None,
) -> Dataset:
    clips, snr_db = TASKS[task]
    corpus = open_corpus(options.data)
    spec = spec.settled(corpus)
    config = DataConfig(
        sample_rate_hz=rate_hz,
        clips=clips,
        split=replace(spec.split, folds=FOLDS, fold=fold),
        noise=None if snr_db is None else NoiseConfig(snr_db=snr_db),
        speed_perturbation=spec.speed_perturbation,
        network_rate_hz=network_rate_hz,
    )
    return prepare_dataset(corpus, config, store=Store(options.folder / "store", max_gb=4))


def rows_of_fold(task: str, fold: int, options: argparse.Namespace, spec: StudySpec) -> Iterator[Row]:
    """WaveNet first."""

    @cache
    def heard() -> tuple[Dataset, ScoredDataset]:
        rate_hz = spec.front_end.sample_rate_hz
        dataset = dataset_of(task, fold, spec.front_end.read_rate_hz, options, spec, network_rate_hz=rate_hz)
        return dataset, scored_wavenet(dataset, spec, seed=fold + 1)

    def own() -> Row:
        started, (dataset, scored) = time.perf_counter(), heard()
        choice = choose(scored, dataset.judged(), [of_innovations()])
        seconds = time.perf_counter() - started
        return row_of(scored, choice, dataset.judged(), num_tried=1, seconds_of_tuning=seconds)

    def of(name: str) -> Row:
        return best_variant(name, [dataset_of(task, fold, options.rate, options, spec)], seed=fold + 1)

    yield kept(options.folder, f"{task}-{WAVENET}-{fold + 1}", own)
    yield kept(options.folder, f"{task}-{BANDS}-{fold + 1}", lambda: bands_row(*heard()))
    heard.cache_clear()
    for name in options.against:
        yield kept(options.folder, f"{task}-{name}-{fold + 1}", partial(of, name))


def bands_row(dataset: Dataset, scored: ScoredDataset) -> Row:
    """By the first of BAND_CHOICES within one standard error of the highest AUC on validation."""
    scores = {name: band_scores(scored.scores[INNOVATIONS], dataset, name, scored.frame_ms) for name in BAND_CHOICES}
    judged, clips = choose_scores(scores, dataset), dataset.validation
    threshold = judged.test.threshold
    choice = Choice(
        score=judged.choice,
        postprocessing=replace(of_innovations(), threshold_sigmas=threshold),
        auc=judged.validation_auc,
        f1=f1_score(scores[judged.choice]["validation"] >= threshold, clips.is_anomalous),
        event_f1=None,
    )
    return Row(
        name=BANDS,
        setup=judged.choice,
        choice=choice,
        decisions=judged.test,
        num_weights=0,
        seconds_to_train=0.0,
        seconds_to_score=0.0,
        num_tried=1,
        seconds_of_tuning=0.0,
    )


def print_table(task: str, folds: Sequence[Sequence[Row]]) -> None:
    print(f"\n### {task}\n")
    print("| detector | AUC | WaveNet ahead by | AUC without the odd take | WaveNet ahead by | F1 | AUC by fold |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    everything, without = lines_of(folds), lines_of(folds, without=[ODD_TAKE])
    by_fold = [lines_of([rows]) for rows in folds]
    for index, (line, other) in enumerate(zip(everything, without, strict=True)):
        leads = [figure_text(each.differences["auc"], sign=True) if index else "" for each in (line, other)]
        areas = [figure_text(each.figures["auc"]) for each in (line, other)]
        of_folds = " ".join(f"{each[index].figures['auc'].value:.2f}" for each in by_fold)
        cells = [line.name, areas[0], leads[0], areas[1], leads[1], f"{line.figures['f1'].value:.3f}", of_folds]
        print(f"| {' | '.join(cells)} |", flush=True)
    print_machines(everything, by_fold)


def print_machines(lines: Sequence[Line], by_fold: Sequence[Sequence[Line]]) -> None:
    """The AUC of each machine alone: the mean over folds, and each fold's."""
    machines = list(lines[0].by_machine)
    print(f"\n| detector | {' | '.join(f'AUC {machine} (by fold)' for machine in machines)} |")
    print(f"| {' | '.join(['---'] * (1 + len(machines)))} |")
    for line, *of_folds in zip(lines, *by_fold, strict=True):
        cells = [line.name]
        for machine in machines:
            areas = " ".join(f"{each.by_machine[machine]['auc'].value:.2f}" for each in of_folds)
            cells.append(f"{line.by_machine[machine]['auc'].value:.3f} ({areas})")
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, help="such as folder:../shared/recordings/cars")
    parser.add_argument("--tasks", nargs="+", choices=tuple(TASKS), default=tuple(TASKS))
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    alternatives = tuple(families(STEPS_AND_RATES))
    parser.add_argument("--against", nargs="*", choices=alternatives, default=alternatives, metavar="NAME")
    parser.add_argument("--rate", type=int, default=16_000, help="of the alternatives, in Hz")
    parser.add_argument("--folder", type=Path, default=Path("runs/clip_tasks"), help="where decisions are kept")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    spec = load_study_file(find_study_file("any_machine"))
    for task in options.tasks:
        print_table(task, [list(rows_of_fold(task, fold, options, spec)) for fold in options.folds])


if __name__ == "__main__":
    main()
