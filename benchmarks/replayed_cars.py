"""The cars of a table of trainings, and what a trial on one of them is worth on fresh takes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.choice_rules import WINDOWS_MS
from benchmarks.intervals_over_cars import NUM_DRAWS
from benchmarks.replayed_studies import OBJECTIVES, THRESHOLDS, Car, FloatArray, ReplayedTrial
from benchmarks.table_of_trainings import Place, load_training
from core.decision.metrics import auc, f1_score
from hpo.search.study_spec import StudySpec

STUDY = Path(__file__).resolve().parent.parent / "studies/quickstart.toml"
STUDY_BEFORE = Path(__file__).resolve().parent / "quickstart_by_surprise.toml"
FIGURES = ("F1", "recall", "false alarms", "AUC", "validation F1 minus F1", "expected F1 minus F1")


def load_cars(folder: Path, numbers: Sequence[int], num_points: int, spec: StudySpec) -> dict[int, Car]:
    """The cars by seed, all with the same points: those that the table has of every car."""
    table = {
        (car, point): load_training(Place(car=car, point=point, seed=1), folder)
        for car in numbers
        for point in range(num_points)
    }
    points = [point for point in range(num_points) if all(table[car, point] for car in numbers)]
    return {car: Car(spec, [found for point in points if (found := table[car, point])]) for car in numbers}


def figures_of(trial: ReplayedTrial) -> FloatArray:
    """(FIGURES,) on fresh takes."""
    judged, threshold = trial.judged, trial.threshold
    flagged, labels = judged.fresh >= threshold, judged.is_fresh_anomalous
    fresh_f1 = f1_score(flagged, labels)
    plain = f1_score(judged.validation >= threshold, judged.is_anomalous)
    expected = OBJECTIVES["expected F1"](trial)
    shares = [float(flagged[labels].mean()), float(flagged[~labels].mean())]
    return np.array([fresh_f1, *shares, auc(judged.fresh, labels), plain - fresh_f1, expected - fresh_f1])


def default_trial(car: Car) -> ReplayedTrial:
    own = car.spec.postprocessing
    judged = car.judged(0, own.window_ms)
    assert judged is not None, "the default configuration can be trained"
    return ReplayedTrial(judged=judged, threshold=own.threshold_sigmas)


def possible_gain(car: Car) -> float:
    """F1 of the best by hindsight minus that of trial 0: picked on one half of the fresh takes, measured on the other,
    and the mean of both ways."""
    default = default_trial(car)
    cells = [judged for point in car.trainings for w in WINDOWS_MS if (judged := car.judged(point, float(w)))]
    gains = []
    for picked, measured in ((0, 1), (1, 0)):
        found = [cell.picked_by_hindsight(picked) for cell in cells]
        best = max(range(len(cells)), key=lambda place: found[place][0])
        reached = cells[best].fresh_f1(measured, THRESHOLDS[found[best][1]])
        gains.append(reached - default.judged.fresh_f1(measured, default.threshold))
    return float(np.mean(gains))


def luck_of_validation(car: Car) -> float:
    """How far F1 of so many fresh takes as validation has lies from that of all, where nothing is chosen: trial 0, the
    mean of absolute differences over draws."""
    trial, random = default_trial(car), np.random.default_rng(0)
    flagged, labels = trial.judged.fresh >= trial.threshold, trial.judged.is_fresh_anomalous
    num_anomalous = int(trial.judged.is_anomalous.sum())
    sizes = {True: num_anomalous, False: len(trial.judged.is_anomalous) - num_anomalous}
    differences = []
    for _ in range(NUM_DRAWS):
        rows = np.concatenate([random.choice(np.flatnonzero(labels == label), n) for label, n in sizes.items()])
        differences.append(f1_score(flagged[rows], labels[rows]) - f1_score(flagged, labels))
    return float(np.abs(differences).mean())
