"""Choices made elsewhere: what a detector is worth on a machine that no choice was made on.

    python benchmarks/elsewhere.py --cars folder:../shared/recordings/cars --fan folder:../shared/recordings/fan

Every detector is trained and calibrated on healthy takes of the judged machine. Everything that is chosen (statistics,
post-processing, variant) is the first choice that is within one standard error of the highest mean AUC on validation
clips of the other machines, and the threshold has the highest mean F1 there. It is then judged, as it is, on the
machine's test clips:

    (a)  the cars, chosen on fan and simulated car      (c)  each car, chosen on the other cars, fan and simulated car
    (b)  the fan, chosen on the cars and simulated car

The front end, the network, its training and the rule are those of the study file, which was made with these machines at
hand. "WaveNet, all chosen" chooses them elsewhere, too, among the study file's and a few that differ from it
(`NETWORKS` in benchmarks/judged_elsewhere.py), by statistics or by mean surprise. Of its choices the highest is taken,
and not the first within one standard error, because the order would be hindsight.

Tables in which the take CAR01_NORMAL is tested come again without it; what was chosen stays the same. For (a) and (b)
clips of ten seconds are put together from those of two (a simulated take has no more than one), with three thresholds:
the highest F1 elsewhere, the lowest with at most 5 % false alarms elsewhere, and the default of two sigmas.

WaveNet is the default configuration of studies/any_machine.toml. A fold of a task is scored once and kept in --folder,
so an interrupted command goes on, and `--score` scores one fold, which may run beside another. `--quick` runs one fold,
with the study file's network alone.
"""

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.judged_elsewhere import AS_THE_STUDY, FOLDS, NETWORKS, WHOLLY, Judged, corpus_of, scores_of
from benchmarks.scores_by_choice import WAVENET
from benchmarks.spliced_events import ODD_TAKE
from benchmarks.whole_stretches import of_stretches
from core.baselines.choice import NUM_DRAWS_TO_CHOOSE, is_within_an_error
from core.baselines.paired_bootstrap import Draws, Figure, SplitDecisions, draw_takes, mean_area, pooled_f1
from core.decision.metrics import FloatArray, f1_score
from core.thread_pool import ThreadPool

SETTINGS = ("clips.evaluation_seconds=1500",)
"""A split of the cars has less, so that its clips are end to end."""
CLIP_S, LONG_CLIP_S = 2.0, 10.0
MAX_FALSE_ALARMS = 0.05


def healthy_takes(judged: Judged) -> set[str]:
    """Of the test clips, which are the same for every detector and choice."""
    by_choice = next(iter(judged.decisions.values()))
    test = next(iter(by_choice.values()))["test"]
    return {take for take, is_anomalous in zip(test.recording_ids, test.is_anomalous, strict=True) if not is_anomalous}


def choose_on(others: Sequence[Judged], detector: str) -> tuple[str, float]:
    """The first choice whose mean AUC on validation clips of the others is within one standard error over takes of the
    highest (for WHOLLY the highest), and the threshold with the highest mean F1 there. Tasks count equally."""
    by_task = _by_task(others)
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
    first = next(choice for choice in choices if is_within_an_error(areas[highest], areas[choice]))
    chosen = highest if detector == WHOLLY else first
    return chosen, threshold_of_highest_f1([_validation(judged, detector, chosen) for judged in by_task.values()])


def threshold_of_highest_f1(tasks: Sequence[Sequence[SplitDecisions]]) -> float:
    """Of F1 in the mean over tasks of the mean over a task's splits."""
    levels = np.unique(np.quantile(_pooled(tasks), np.linspace(0.02, 0.98, 97)))
    return float(max(levels, key=lambda level: _mean(tasks, lambda split: _f1(split, level))))


def threshold_of_few_false_alarms(tasks: Sequence[Sequence[SplitDecisions]]) -> float:
    """The lowest at which no more than MAX_FALSE_ALARMS of the healthy clips are flagged, in the same mean."""
    levels = np.append(np.unique(_pooled(tasks)), np.inf)
    return float(next(level for level in levels if _mean(tasks, _false_alarms_at(level)) <= MAX_FALSE_ALARMS))


def _false_alarms_at(level: float) -> Callable[[SplitDecisions], float]:
    return lambda split: float(np.mean(split.scores[~split.is_anomalous] >= level))


def _pooled(tasks: Sequence[Sequence[SplitDecisions]]) -> FloatArray:
    return np.concatenate([split.scores for splits in tasks for split in splits])


def _mean(tasks: Sequence[Sequence[SplitDecisions]], figure: Callable[[SplitDecisions], float]) -> float:
    return float(np.mean([np.mean([figure(split) for split in splits]) for splits in tasks]))


def _by_task(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = {}
    for each in judged:
        found.setdefault(each.task, []).append(each)
    return found


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


def print_validation(everything: Sequence[Judged]) -> None:
    """AUC on validation clips, where a change of the study file must show that it pays, and its paired lead: every
    choice of the study file's network, and all statistics of the others."""
    by_task, study = _by_task(everything), f"{AS_THE_STUDY}, all"
    choices = [
        choice
        for choice in everything[0].decisions[WHOLLY]
        if choice.startswith(AS_THE_STUDY) or choice.endswith(", all")
    ]
    draws = {task: draw_takes(_validation(judged, WHOLLY, study)) for task, judged in by_task.items()}
    areas = {
        choice: [mean_area(_validation(judged, WHOLLY, choice), draws[task]) for task, judged in by_task.items()]
        for choice in choices
    }
    print(f"\n### Validation clips\n\n| choice | {' | '.join(by_task)} | mean | ahead by |")
    print("| --- " * (len(by_task) + 3) + "|")
    for choice, own in areas.items():
        leads = [one - other for one, other in zip(own, areas[study], strict=True)]
        cells = [f"{one[0]:.3f}, {text_of(Figure.of(lead), signed=True)}" for one, lead in zip(own, leads, strict=True)]
        cells += [f"{np.mean([one[0] for one in own]):.3f}", text_of(Figure.of(np.mean(leads, axis=0)), signed=True)]
        print(f"| {choice} | {' | '.join(cells)} |", flush=True)


def print_long_clips(title: str, judged: Sequence[Judged], others: Sequence[Judged]) -> None:
    """F1 and false alarms of clips of ten seconds, which are decided as `detect` decides about whole recordings."""
    print(f"\n### {title}: clips of {LONG_CLIP_S:g} s\n")
    print("| detector | AUC | highest F1 elsewhere | at most 5 % false alarms elsewhere | two sigmas |")
    print("| --- | --- | --- | --- | --- |")
    for detector in judged[0].decisions:
        choice, _ = choose_on(others, detector)
        elsewhere = [
            [_long(split) for split in _validation(of_task, detector, choice)] for of_task in _by_task(others).values()
        ]
        own = [_long(each.decisions[detector][choice]["test"]) for each in judged]
        draws = draw_takes(own)
        cells = [detector, text_of(Figure.of(mean_area(own, draws)))]
        for threshold in (threshold_of_highest_f1(elsewhere), threshold_of_few_false_alarms(elsewhere), 2.0):
            at = [replace(split, threshold=threshold) for split in own]
            cells.append(f"{text_of(Figure.of(pooled_f1(at, draws)))}, {false_alarms(at):.0%} at {threshold:.2f}")
        print(f"| {' | '.join(cells)} |", flush=True)


def _long(split: SplitDecisions) -> SplitDecisions:
    return of_stretches(split, round(LONG_CLIP_S / CLIP_S))


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


def scores_of_fold(fold: int, options: argparse.Namespace) -> list[Judged]:
    """Of every task."""
    networks = [AS_THE_STUDY] if options.quick else list(NETWORKS)
    with ThreadPool(1) as pool:
        return [
            judged
            for task in ("cars", "fan", "simulated")
            for judged in scores_of(
                corpus_of(task, fold, options),
                task,
                fold,
                folder=options.folder,
                pool=pool,
                settings=SETTINGS,
                networks=networks,
            )
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cars", required=True, help="such as folder:../shared/recordings/cars")
    parser.add_argument("--fan", required=True, help="such as folder:../shared/recordings/fan")
    parser.add_argument("--folder", type=Path, default=Path("runs/elsewhere"), help="where scores are kept")
    parser.add_argument("--quick", action="store_true", help="one fold of each task")
    parser.add_argument("--score", type=int, choices=range(1, FOLDS + 1), help="only this fold, and print no table")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    folds = [options.score - 1] if options.score else range(1 if options.quick else FOLDS)
    everything = [judged for fold in folds for judged in scores_of_fold(fold, options)]
    if options.score:
        return
    if not options.quick:
        print_validation(everything)
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
        if not title.startswith("(c)"):
            print_long_clips(title, judged, others)


if __name__ == "__main__":
    main()
