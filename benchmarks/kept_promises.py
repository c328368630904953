"""Do promises and bounds hold? A table of trainings (benchmarks/does_it_pay.py) gives winners and fresh takes.

    python benchmarks/kept_promises.py --table FOLDER [--cars 20] [--points 40] [--replays 3] [--draws 500]

    bounds      test sets as large as a study's are drawn from a car's fresh takes, with replacement, and judged at the
                winner's threshold. A one-sided 95 % bound of a figure holds where the figure on all fresh takes of that
                car lies on its side.
    promises    the threshold of the winner is set by a promise of 5 % false alarms from healthy fresh takes, and
                measured on the healthy fresh takes that were not drawn for it. With too few takes it is an estimate.
    a study's   the same as a study promises it: from calibration takes, each judged by the others, and the validation
                takes without which the same trial would have won
    luck        the same from all healthy validation takes, which chose the winner and its epoch, at the lowest rate
                that they can promise, 1 / (takes + 1)

Winners are those of replayed studies, by the product's rule. Intervals of 95 % are of a bootstrap over cars.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import optuna

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.choice_rules import by_rule
from benchmarks.intervals_over_cars import interval
from benchmarks.replayed_cars import STUDY, load_cars
from benchmarks.replayed_studies import OBJECTIVES, Car, FloatArray, ReplayedTrial, replay
from core.decision.exact_figures import f1_interval, share_interval
from core.decision.false_alarms import ThresholdConfig, promised_threshold
from core.decision.healthy_scores import HealthyScores
from core.decision.metrics import auc, f1_score
from hpo.search.study_file import load_study_file

ONE_SIDED = 0.90
"""Level of an interval whose ends are one-sided 95 % bounds."""
PROMISE = ThresholdConfig(false_alarms=0.05)
NUM_HEALTHY = (8, 19, 40)
"""Healthy takes that set the threshold; a promise of 5 % needs 19."""
Labels = npt.NDArray[np.bool_]


def bounds_hold(scores: FloatArray, labels: Labels, threshold: float, truth: Mapping[str, float]) -> dict[str, bool]:
    """By figure, for a test set; each clip is a recording."""
    flagged, num_anomalous = scores >= threshold, int(labels.sum())
    num_normal = len(labels) - num_anomalous
    recall = share_interval(float(flagged[labels].mean()), num_anomalous, level=ONE_SIDED)
    false_alarms = share_interval(float(flagged[~labels].mean()), num_normal, level=ONE_SIDED)
    area = share_interval(auc(scores, labels), min(num_anomalous, num_normal), level=ONE_SIDED)
    return {
        "recall": truth["recall"] >= recall[0],
        "false alarms": truth["false alarms"] <= false_alarms[1],
        "F1": truth["F1"] >= f1_interval(recall, false_alarms, prevalence=float(labels.mean()))[0],
        "AUC": truth["AUC"] >= area[0],
    }


def share_of_bounds(trial: ReplayedTrial, num_draws: int, random: np.random.Generator) -> dict[str, float]:
    """By figure, how many of the bounds hold."""
    judged, threshold = trial.judged, trial.threshold
    scores, labels = judged.fresh, judged.is_fresh_anomalous
    flagged = scores >= threshold
    truth = {
        "recall": float(flagged[labels].mean()),
        "false alarms": float(flagged[~labels].mean()),
        "F1": f1_score(flagged, labels),
        "AUC": auc(scores, labels),
    }
    sizes = {label: int((judged.is_anomalous == label).sum()) for label in (True, False)}
    found = []
    for _ in range(num_draws):
        rows = np.concatenate([random.choice(np.flatnonzero(labels == label), size) for label, size in sizes.items()])
        found.append(bounds_hold(scores[rows], labels[rows], threshold, truth))
    return {name: float(np.mean([each[name] for each in found])) for name in truth}


def promised_by(healthy: FloatArray, config: ThresholdConfig = PROMISE) -> float:
    """The threshold that these clip scores, one a take, promise."""
    takes = {place: [float(score)] for place, score in enumerate(healthy)}
    promised = promised_threshold(HealthyScores.of(takes, seconds_a_clip=2.0), config)
    assert promised is not None, "there is healthy sound"
    return promised.threshold_sigmas


def fresh_false_alarms(trial: ReplayedTrial, threshold: float) -> float:
    return float((trial.judged.fresh[~trial.judged.is_fresh_anomalous] >= threshold).mean())


def false_alarms_of_promise(
    trial: ReplayedTrial, num_healthy: int, num_draws: int, random: np.random.Generator
) -> float:
    """The share of the other healthy clips that raise an alarm, the mean of the draws."""
    healthy, found = trial.judged.fresh[~trial.judged.is_fresh_anomalous], []
    for _ in range(num_draws):
        shuffled = random.permutation(healthy)
        found.append(float((shuffled[num_healthy:] >= promised_by(shuffled[:num_healthy])).mean()))
    return float(np.mean(found))


def healthy_of_a_study(car: Car, trials: Sequence[ReplayedTrial], winner: int) -> FloatArray:
    """Clip scores of the healthy takes that neither trained the winner nor chose it, as
    hpo/results/healthy_takes.py finds them."""
    trial = trials[winner]
    calibration = car.cross_fitted_calibration(trial.point, trial.parameters["window_ms"], trial.judged.epoch)
    kept = [row for row in np.flatnonzero(~trial.judged.is_anomalous) if winner == place_of_winner(trials, int(row))]
    return np.concatenate([calibration, trial.judged.validation[kept]])


def place_of_winner(trials: Sequence[ReplayedTrial], without: int | None = None) -> int:
    """By the product's rule, with all validation takes or without one."""
    if without is not None:
        trials = [replace(trial, judged=trial.judged.without(without)) for trial in trials]
        trials = [replace(trial, value=OBJECTIVES["expected F1"](trial)) for trial in trials]
    chosen = by_rule(trials)
    return next(place for place, trial in enumerate(trials) if trial is chosen)


def false_alarms_of_what_chose(trial: ReplayedTrial) -> float:
    """The share of the healthy fresh clips that raise an alarm, less what the validation takes promise."""
    healthy = trial.judged.validation[~trial.judged.is_anomalous]
    rate = 1 / (len(healthy) + 1)
    return fresh_false_alarms(trial, promised_by(healthy, ThresholdConfig(false_alarms=rate))) - rate


def rows_of(
    car: Car, studies: Iterable[Sequence[ReplayedTrial]], *, num_draws: int, random: np.random.Generator
) -> dict[str, float]:
    """By what is measured, the mean over the replayed studies of the product's sampler and objective."""
    found = []
    for trials in studies:
        place = place_of_winner(trials)
        winner, healthy = trials[place], healthy_of_a_study(car, trials, place)
        bounds = share_of_bounds(winner, num_draws, random)
        alarms = {
            f"false alarms promised by {count} healthy takes": false_alarms_of_promise(winner, count, num_draws, random)
            for count in NUM_HEALTHY
        }
        alarms["false alarms promised by the study's own takes"] = fresh_false_alarms(winner, promised_by(healthy))
        alarms["how many these are"] = float(len(healthy))
        alarms["false alarms above the promise of the takes that chose"] = false_alarms_of_what_chose(winner)
        alarms["the same of trial 0"] = false_alarms_of_what_chose(trials[0])
        found.append({f"bound of {name} holds": share for name, share in bounds.items()} | alarms)
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def studies_of(car: Car, num_replays: int, num_trials: int) -> Iterator[list[ReplayedTrial]]:
    for seed in range(num_replays):
        yield replay(car, OBJECTIVES["expected F1"], kind="tpe", num_trials=num_trials, seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="of does_it_pay.py")
    parser.add_argument("--cars", type=int, default=20)
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--replays", type=int, default=3, help="studies of each car")
    parser.add_argument("--trials", type=int, default=50, help="of a study")
    parser.add_argument("--draws", type=int, default=500, help="test sets of each winner")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    cars = load_cars(options.table, range(1, options.cars + 1), options.points, load_study_file(STUDY))
    random = np.random.default_rng(0)
    found = [
        rows_of(car, studies_of(car, options.replays, options.trials), num_draws=options.draws, random=random)
        for car in cars.values()
    ]
    print("| | mean over cars (95 % interval) | lowest | highest |\n| --- | --- | --- | --- |")
    for name in found[0]:
        values = np.array([each[name] for each in found])
        print(f"| {name} | {interval(values)} | {values.min():.3f} | {values.max():.3f} |")


if __name__ == "__main__":
    main()
