"""How well `studies/any_events.toml` finds spliced events of machines on which nothing of it was tuned.

    python benchmarks/events_of_machines.py [--kinds pump valve] [--seeds 2 3] [--cars folder:PATH]

Faulty stretches of .5 to 3 s are spliced into healthy takes, as `studies/cars_spliced.toml` says, of simulated machines
of five kinds (benchmarks/simulated_machines.py), and with `--cars` of each fold of the cars. Every detector is trained
on the judged machine, as in benchmarks/spliced_events.py. A row has what was chosen on validation clips of the judged
machine, and one has WaveNet as the study file has it, with nothing chosen. Decisions are kept in --folder.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.simulated_machines import MACHINES, written_machine
from benchmarks.spliced_events import FOLDS, rows_of_fold
from benchmarks.spliced_events import METRICS as EVENT_METRICS
from core.baselines.comparison import Row
from core.baselines.comparison_table import figure_text
from core.baselines.paired_bootstrap import METRICS, Figure, SplitDecisions, draw_takes
from core.study_files import OF_EVENTS, find_study_file
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec


def spliced_spec() -> StudySpec:
    """The study for labelled events, of which events are spliced."""
    splice = load_study_file(find_study_file("cars_spliced")).splice
    return replace(load_study_file(find_study_file(OF_EVENTS)), splice=splice)


def rows_of_tasks(options: argparse.Namespace) -> dict[str, list[list[Row]]]:
    """By kind of machine: the rows of each machine, or of each fold."""
    spec, rows = spliced_spec(), {}
    for kind in options.kinds:
        rows[kind] = [rows_of_machine(options, spec, kind, seed) for seed in options.seeds]
    if options.cars:
        rows["cars"] = [rows_of_data(options, spec, options.cars, "cars", fold) for fold in range(FOLDS)]
    return rows


def rows_of_machine(options: argparse.Namespace, spec: StudySpec, kind: str, seed: int) -> list[Row]:
    task = f"{kind}-{seed}"
    recordings = written_machine(options.folder / "recordings" / task, kind, seed=seed)
    return rows_of_data(options, spec, f"folder:{recordings}", task, 0)


def rows_of_data(options: argparse.Namespace, spec: StudySpec, data: str, task: str, fold: int) -> list[Row]:
    folder = options.folder / task
    folder.mkdir(parents=True, exist_ok=True)
    return list(rows_of_fold(argparse.Namespace(**{**vars(options), "data": data, "folder": folder}), spec, fold))


def print_table(rows: Mapping[str, Sequence[Sequence[Row]]], metric: str) -> None:
    """Each detector on the machines, or folds, of each kind, and on all of them, where every event counts once."""
    everything = [split for splits in rows.values() for split in splits]
    draws = draw_takes([split[0].decisions for split in everything])
    best = METRICS[metric](decisions_of(everything, 0), draws)
    print(f"| {metric.replace('_', ' ')} | {' | '.join(rows)} | mean of kinds | all | WaveNet ahead by |")
    print(f"| {' | '.join(['---'] * (len(rows) + 4))} |")
    for index, row in enumerate(everything[0]):
        of_kinds = [METRICS[metric](decisions_of(splits, index), draws)[0] for splits in rows.values()]
        of_all = METRICS[metric](decisions_of(everything, index), draws)
        lead = figure_text(Figure.of(best - of_all), sign=True) if index else ""
        means = [*of_kinds, np.mean(of_kinds)]
        cells = [*(f"{value:.3f}" for value in means), figure_text(Figure.of(of_all)), lead]
        print(f"| {row.name} | {' | '.join(cells)} |", flush=True)


def decisions_of(splits: Sequence[Sequence[Row]], index: int) -> list[SplitDecisions]:
    """One detector's, by the number of its row."""
    return [split[index].decisions for split in splits]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=list(MACHINES), default=list(MACHINES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[2, 3])
    parser.add_argument("--cars", help="such as folder:../shared/recordings/cars")
    parser.add_argument("--against", nargs="*", default=["log-mel IDNN"], metavar="NAME", help="alternatives")
    parser.add_argument("--rates", type=int, nargs="+", default=[16_000], help="of the alternatives, in Hz")
    parser.add_argument("--folder", type=Path, default=Path("runs/events_of_machines"), help="where decisions are kept")
    options = parser.parse_args()
    rows = rows_of_tasks(options)
    for metric in EVENT_METRICS:
        print_table(rows, metric)
        print()


if __name__ == "__main__":
    main()
