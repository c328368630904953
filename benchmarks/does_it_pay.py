"""Does a search pay? Studies are replayed on a table of trainings of simulated cars, and judged on fresh takes.

    python benchmarks/does_it_pay.py --table FOLDER [--cars 20] [--points 40] [--seeds 2] [--fresh 2000]

First it makes the table, and the same command resumes it; with `--no-training` it takes what there is. Trial 0 of
quickstart_by_surprise.toml, which is that of commit cf29bb1, stands in the table's folder `before`. Then it replays
studies of 50 trials on the trainings of seed 1 and prints what each rule's winner reaches on fresh takes, which choose
nothing: first what a search is worth, then all rules side by side, of all cars and of those that are new. Intervals are
of a bootstrap over cars. Training seeds after the first show how far a training repeats.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import optuna

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.choice_rules import (
    WINDOWS_MS,
    best_post,
    by_rule,
    default_within,
    default_within_errors_of_the_best_by_chance,
    fewest_false_alarms,
    first,
    highest_crossfitted,
    lower_bound,
    middle_of_family,
    most_central,
    narrowest,
    nearest_to_the_default,
    post_by_rule,
)
from benchmarks.replayed_studies import (
    OBJECTIVES,
    THRESHOLDS,
    Car,
    FloatArray,
    ReplayedTrial,
    highest,
    judge,
    replay,
)
from benchmarks.table_of_trainings import Place, load_training, make_training, places
from core.decision.metrics import auc, f1_score
from core.thread_pool import ThreadPool
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec

STUDY = Path(__file__).resolve().parent.parent / "studies/quickstart.toml"
STUDY_BEFORE = Path(__file__).resolve().parent / "quickstart_by_surprise.toml"
NUM_DRAWS = 2000
PARTS = {
    "All cars": slice(None),
    "Cars 1 to 10, on which score, rule and default were chosen or looked at": slice(10),
    "Cars 11 and on, which are new": slice(10, None),
}
Choose = Callable[[Sequence[ReplayedTrial]], ReplayedTrial]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A sampler, an objective, and how the winner is chosen from the trials."""

    name: str
    kind: str = "tpe"
    objective: str = "expected F1"
    choose: Choose = highest


CF29BB1, OLD_RULE = "trial 0 of cf29bb1", "random search, F1"
DEFAULT, BEFORE, NOW = "trial 0", "highest expected F1: the rule before", "trial 0 within one error: the rule now"
POST_BEFORE, POST_NOW = "its best post-processing", "its own within one error of the best post-processing"
MIDDLE = "within one error: the middle of the highest one's network"
RULES = (
    Rule(name=OLD_RULE, kind="random", objective="F1"),
    Rule(name="TPE, F1", objective="F1"),
    Rule(name="random search, expected F1", kind="random"),
    Rule(name=BEFORE),
    Rule(name=NOW, choose=by_rule),
    Rule(name="trial 0 within two errors", choose=partial(default_within, 2.0)),
    Rule(name="trial 0 within sqrt(2 ln trials) errors", choose=default_within_errors_of_the_best_by_chance),
    Rule(name="within one error: the first", choose=first),
    Rule(name="within one error: the nearest to the default", choose=nearest_to_the_default),
    Rule(name="within one error: the narrowest network", choose=narrowest),
    Rule(name="within one error: the most central", choose=most_central),
    Rule(name="within one error: the fewest false alarms", choose=fewest_false_alarms),
    Rule(name="highest lower bound", choose=lower_bound),
    Rule(name="the rule before, threshold fitted after the choice", choose=lambda trials: highest(trials).fitted),
    Rule(
        name="the rule now, threshold cross-fitted after the choice", choose=lambda trials: by_rule(trials).crossfitted
    ),
    Rule(name="highest cross-fitted F1, threshold cross-fitted", choose=highest_crossfitted),
    Rule(name="TPE, AUC, threshold fitted", objective="AUC", choose=lambda trials: highest(trials).fitted),
    Rule(name="TPE, partial AUC, threshold fitted", objective="partial AUC", choose=lambda t: highest(t).fitted),
    Rule(name="TPE, F1 of resampled takes", objective="F1 of resampled takes"),
    Rule(name="TPE, separation, threshold fitted", objective="separation", choose=lambda t: highest(t).fitted),
    Rule(
        name="TPE, expected F1 at the best threshold",
        objective="expected F1 at the best threshold",
        choose=lambda trials: highest(trials).fitted,
    ),
)
FIGURES = ("F1", "recall", "false alarms", "AUC", "validation F1 minus F1", "expected F1 minus F1")


def make_table(options: argparse.Namespace, spec: StudySpec, before: StudySpec) -> None:
    of_before = [(place, before, options.table / "before") for place in places(cars=options.cars, points=1, seeds=1)]
    of_now = [
        (place, spec, options.table) for place in places(cars=options.cars, points=options.points, seeds=options.seeds)
    ]
    with ThreadPool(1) as pool:
        for place, study, folder in (*of_before, *of_now):
            path = place.file(folder)
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            started = time.monotonic()
            make_training(place, study, folder, num_fresh=options.fresh, pool=pool)
            print(f"{path.relative_to(options.table)}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


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


def rows_of(car: Car, before: Car, *, num_replays: int, num_trials: int) -> dict[str, FloatArray]:
    """(FIGURES,) by rule, each the mean of the replays."""
    default, of_before = default_trial(car), default_trial(before)
    rows = {
        CF29BB1: figures_of(of_before),
        f"{CF29BB1}, threshold fitted on validation": figures_of(of_before.fitted),
        DEFAULT: figures_of(default),
        "trial 0, threshold fitted on validation": figures_of(default.fitted),
    }
    studies: dict[tuple[str, str], list[list[ReplayedTrial]]] = {}
    for rule in RULES:
        key = (rule.kind, rule.objective)
        if key not in studies:
            studies[key] = [
                replay(car, OBJECTIVES[rule.objective], kind=rule.kind, num_trials=num_trials, seed=seed)
                for seed in range(num_replays)
            ]
        chosen = [rule.choose(trials) for trials in studies[key]]
        rows[rule.name] = np.mean([figures_of(trial) for trial in chosen], axis=0)
        if rule.name == NOW:
            middles = [middle_of_family(car, trials) for trials in studies[key]]
            rows[MIDDLE] = np.mean([figures_of(trial) for trial in middles], axis=0)
            rows[POST_BEFORE] = np.mean([figures_of(best_post(car, trial)) for trial in chosen], axis=0)
            rows[POST_NOW] = np.mean([figures_of(post_by_rule(car, trial)) for trial in chosen], axis=0)
    return rows


def interval(values: FloatArray, *, sign: str = "+") -> str:
    """The mean over cars with its 95 % interval."""
    low, high = np.percentile(_means_of_draws(values), [2.5, 97.5])
    return f"{values.mean():{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def _means_of_draws(values: FloatArray) -> FloatArray:
    draws = np.random.default_rng(0).integers(len(values), size=(NUM_DRAWS, len(values)))
    means: FloatArray = values[draws].mean(axis=1)
    return means


def share_collected(gain: FloatArray, possible: FloatArray) -> str:
    """Sum over sum of the cars. Where the possible gain could be 0 there is nothing to collect."""
    sums, sums_possible = _means_of_draws(gain), _means_of_draws(possible)
    if sums_possible.min() <= 0:
        return "nothing to be had"
    low, high = 100 * np.percentile(sums / sums_possible, [2.5, 97.5])
    return f"{100 * gain.sum() / possible.sum():.0f} % ({low:.0f} to {high:.0f})"


def print_sought(rows: dict[str, FloatArray], gains: FloatArray, luck: FloatArray) -> None:
    """What a study's winner is worth. `rows` are (cars, FIGURES) by rule; `gains`, the possible ones, and `luck` are
    (cars,)."""
    print("| | F1 | recall | false alarms | AUC | F1 minus trial 0 | share of the possible gain | flattery, absolute |")
    print("| --- " * 8 + "|")
    for name in (NOW, DEFAULT, CF29BB1, OLD_RULE):
        figures = rows[name]
        gain = figures[:, 0] - rows[DEFAULT][:, 0]
        cells = [interval(figures[:, column], sign="") for column in range(4)]
        cells += [interval(gain), share_collected(gain, gains), interval(np.abs(figures[:, 4]), sign="")]
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\nF1, the rule now minus trial 0 of cf29bb1: {interval(rows[NOW][:, 0] - rows[CF29BB1][:, 0])}")
    print(f"Possible gain of F1 over trial 0: {interval(gains)}")
    print(f"Flattery by luck alone, trial 0 on as many takes as validation has: {interval(luck, sign='')}\n")


def print_rules(rows: dict[str, FloatArray]) -> None:
    """All rules side by side. `rows` are (cars, FIGURES) by rule."""
    print(
        "| | F1 | recall | false alarms | AUC | F1 minus that of cf29bb1 | F1 minus trial 0 | F1 minus the rule now | "
        "false alarms minus the rule now | flattery |"
    )
    print("| --- " * 10 + "|")
    for name, figures in rows.items():
        mean = figures.mean(axis=0)
        cells = [f"{mean[column]:.3f}" for column in range(4)]
        cells += [interval(figures[:, 0] - rows[other][:, 0]) for other in (CF29BB1, DEFAULT, NOW)]
        cells.append(interval(figures[:, 2] - rows[NOW][:, 2]))
        cells.append(f"{mean[4]:+.3f} / {np.abs(figures[:, 4]).mean():.3f} ({mean[5]:+.3f})")
        print(f"| {name} | {' | '.join(cells)} |")
    print()


def print_repeats(options: argparse.Namespace, cars: dict[int, Car]) -> None:
    """How far a training repeats with another seed, at the default window: the standard deviation over seeds."""
    differences = []
    for place in places(cars=options.cars, points=options.points, seeds=options.seeds):
        again = load_training(place, options.table)
        car = cars[place.car]
        if place.seed == 1 or again is None or again.failure or place.point not in car.trainings:
            continue
        post = car.spec.postprocessing
        one, other = judge(again, post, car.spec.scoring.frame_ms), car.judged(place.point, post.window_ms)
        if other is not None:
            fresh = auc(one.fresh, one.is_fresh_anomalous) - auc(other.fresh, other.is_fresh_anomalous)
            differences.append((one.auc - other.auc, fresh))
    if differences:
        validation, fresh = np.sqrt(np.square(differences).mean(axis=0) / 2)
        print(
            f"Another seed, {len(differences)} trainings: AUC has a standard deviation of {validation:.3f} on "
            f"validation and {fresh:.3f} on fresh takes."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="a folder outside of the repository")
    parser.add_argument("--cars", type=int, default=20, help="seeds of the simulation, from 1")
    parser.add_argument("--points", type=int, default=40, help="networks, the default configuration first")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each")
    parser.add_argument("--fresh", type=int, default=2000, help="takes of a car that choose nothing")
    parser.add_argument("--replays", type=int, default=5, help="studies of each car and rule")
    parser.add_argument("--trials", type=int, default=50, help="of a replayed study")
    parser.add_argument("--no-training", action="store_true", help="replay on what the table has")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spec, spec_before = load_study_file(STUDY), load_study_file(STUDY_BEFORE)
    if not options.no_training:
        make_table(options, spec, spec_before)
    cars = load_cars(options.table, range(1, options.cars + 1), options.points, spec)
    before = load_cars(options.table / "before", list(cars), 1, spec_before)
    found, gains, luck = [], [], []
    for number, car in cars.items():
        found.append(rows_of(car, before[number], num_replays=options.replays, num_trials=options.trials))
        gains.append(possible_gain(car))
        luck.append(luck_of_validation(car))
        print(f"car {number}: replayed", file=sys.stderr, flush=True)
    num_points = len(next(iter(cars.values())).trainings)
    print(f"{len(cars)} cars, {num_points} networks, {options.replays} studies of {options.trials} trials each\n")
    for title, part in PARTS.items():
        if found[part]:
            print(f"{title}\n")
            rows = {name: np.array([each[name] for each in found[part]]) for name in found[0]}
            print_sought(rows, np.array(gains[part]), np.array(luck[part]))
            print_rules(rows)
    print_repeats(options, cars)


if __name__ == "__main__":
    main()
