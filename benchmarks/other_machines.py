"""Five kinds of simulated machines on which nothing was tuned (benchmarks/simulated_machines.py).

    python benchmarks/other_machines.py [--kinds pump valve] [--seeds 2 3]

As in benchmarks/elsewhere.py, every detector is trained and calibrated on healthy takes of the judged machine, its
choice and threshold are made on validation clips of the machines of the other kinds, and it is judged on the machine's
test clips. A seed is another machine of each kind. A machine is scored once and kept in --folder. The second table has
whole recordings in place of clips: the median of a recording's clips, which is how `detect` decides, and the highest.
With `--changes`, changes of the study file (`NETWORKS` in benchmarks/judged_elsewhere.py) are compared with it on
validation clips alone, and nothing is tested.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.elsewhere import choose_on, false_alarms, print_validation, text_of
from benchmarks.judged_elsewhere import AS_THE_STUDY, NETWORKS, Judged, scores_of
from benchmarks.listed_recordings import open_corpus
from benchmarks.scores_by_choice import WAVENET
from benchmarks.simulated_machines import MACHINES, written_machine
from core.baselines.paired_bootstrap import Figure, SplitDecisions, draw_takes, mean_area, pooled_f1
from core.decision.chance import scores_of_recordings
from core.decision.metrics import auc
from core.thread_pool import ThreadPool


def judged_machines(options: argparse.Namespace) -> Iterator[tuple[str, Judged]]:
    """Each kind with each machine of it."""
    with ThreadPool(1) as pool:
        for kind in options.kinds:
            for seed in options.seeds:
                task = f"{kind}-{seed}"
                corpus = open_corpus(f"folder:{written_machine(options.folder / task, kind, seed=seed)}")
                judged = scores_of(
                    corpus,
                    task,
                    0,
                    folder=options.folder,
                    pool=pool,
                    networks=[AS_THE_STUDY, *options.changes],
                    with_alternatives=not options.changes,
                )
                yield from ((kind, each) for each in judged)


def tested(everything: Sequence[tuple[str, Judged]], detector: str) -> dict[str, list[SplitDecisions]]:
    """By kind: the test clips of its machines, by what was chosen on the other kinds."""
    found = {}
    for kind in dict.fromkeys(kind for kind, _ in everything):
        choice, threshold = choose_on([judged for other, judged in everything if other != kind], detector)
        found[kind] = [
            replace(judged.decisions[detector][choice]["test"], threshold=threshold)
            for own, judged in everything
            if own == kind
        ]
    return found


def print_table(everything: Sequence[tuple[str, Judged]]) -> None:
    """The AUC of every detector on every kind."""
    detectors = list(everything[0][1].decisions)
    of_wavenet = tested(everything, WAVENET)
    splits_of_wavenet = [split for splits in of_wavenet.values() for split in splits]
    draws = draw_takes(splits_of_wavenet)
    best = mean_area(splits_of_wavenet, draws)
    print(f"| AUC | {' | '.join(of_wavenet)} | mean | WaveNet ahead by | F1 | false alarms |")
    print(f"| {' | '.join(['---'] * (len(of_wavenet) + 5))} |")
    for detector in detectors:
        by_kind = tested(everything, detector)
        splits = [split for of_kind in by_kind.values() for split in of_kind]
        areas = mean_area(splits, draws)
        cells = [f"{mean_area(of_kind, draw_takes(of_kind, num_draws=1))[0]:.3f}" for of_kind in by_kind.values()]
        cells += [f"{areas[0]:.3f}", "" if detector == WAVENET else text_of(Figure.of(best - areas), signed=True)]
        cells += [f"{Figure.of(pooled_f1(splits, draws)).value:.3f}", f"{false_alarms(splits):.0%}"]
        print(f"| {detector} | {' | '.join(cells)} |", flush=True)


def print_recordings(everything: Sequence[tuple[str, Judged]]) -> None:
    """Means over machines."""
    print("\n| whole recordings | median: AUC | false alarms | recall | highest: AUC | false alarms | recall |")
    print("| --- " * 7 + "|")
    for detector in everything[0][1].decisions:
        splits = [split for of_kind in tested(everything, detector).values() for split in of_kind]
        rules = [
            np.mean([of_recordings(split, faults_last=last) for split in splits], axis=0) for last in (True, False)
        ]
        cells = [cell for area, alarms, hits in rules for cell in (f"{area:.3f}", f"{alarms:.0%}", f"{hits:.0%}")]
        print(f"| {detector} | {' | '.join(cells)} |", flush=True)


def of_recordings(split: SplitDecisions, *, faults_last: bool) -> tuple[float, float, float]:
    """AUC, false alarms and recall, where a recording counts as one."""
    takes = np.array(split.recording_ids)
    names, first = np.unique(takes, return_index=True)
    scores = scores_of_recordings([split.scores[takes == name] for name in names], faults_last=faults_last)
    is_anomalous, flagged = split.is_anomalous[first], scores >= split.threshold
    return auc(scores, is_anomalous), float(flagged[~is_anomalous].mean()), float(flagged[is_anomalous].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=list(MACHINES), default=list(MACHINES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[2, 3])
    parser.add_argument("--changes", nargs="+", choices=list(NETWORKS)[1:], default=[], help="of the study file")
    parser.add_argument("--folder", type=Path, default=Path("runs/other_machines"), help="where scores are kept")
    options = parser.parse_args()
    if len(options.kinds) < 2:
        parser.error("--kinds must be two or more, because the choices for one are made on the others.")
    options.folder.mkdir(parents=True, exist_ok=True)
    everything = list(judged_machines(options))
    if options.changes:
        print_validation([replace(judged, task=kind) for kind, judged in everything])
        return
    print_table(everything)
    print_recordings(everything)


if __name__ == "__main__":
    main()
