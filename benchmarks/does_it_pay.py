"""Does a search pay? Studies are replayed on a table of trainings of simulated cars, and judged on fresh takes.

    python benchmarks/does_it_pay.py --table FOLDER [--cars 20] [--points 40] [--seeds 2] [--fresh 2000]

First it makes the table, and the same command resumes it; with `--no-training` it takes what there is. Trial 0 of
quickstart_by_surprise.toml, which is that of commit cf29bb1, stands in the table's folder `before`. Then it replays
studies of 50 trials on the trainings of seed 1 and prints what each rule's winner reaches on fresh takes, which choose
nothing: what was asked of the search and whether it is reached, what a search is worth, and all rules side by side, of
all cars and of those that are new. Intervals are of a bootstrap over cars. Training seeds after the first show how far
a training repeats.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks import kept_promises
from benchmarks.compared_rules import CF29BB1, DEFAULT, NOW, OLD_RULE, replayed, rows_of
from benchmarks.intervals_over_cars import interval, share_collected
from benchmarks.replayed_cars import STUDY, STUDY_BEFORE, load_cars, luck_of_validation, possible_gain
from benchmarks.replayed_studies import Car, FloatArray, judge
from benchmarks.search_goals import print_goals
from benchmarks.table_of_trainings import load_training, make_training, places
from core.decision.metrics import auc
from core.thread_pool import ThreadPool
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec

PARTS = {
    "All cars": slice(None),
    "Cars 1 to 10, on which score, rule and default were chosen or looked at": slice(10),
    "Cars 11 and on, which are new": slice(10, None),
}


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


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, FloatArray]:
    """The rows of cars to one array a name."""
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


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
    parser.add_argument("--draws", type=int, default=500, help="test sets of a winner, for its bounds and promises")
    parser.add_argument("--no-training", action="store_true", help="replay on what the table has")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spec, spec_before = load_study_file(STUDY), load_study_file(STUDY_BEFORE)
    if not options.no_training:
        make_table(options, spec, spec_before)
    cars = load_cars(options.table, range(1, options.cars + 1), options.points, spec)
    before = load_cars(options.table / "before", list(cars), 1, spec_before)
    found, gains, luck, kept = [], [], [], []
    random = np.random.default_rng(0)
    for number, car in cars.items():
        studies = replayed(car, num_replays=options.replays, num_trials=options.trials)
        found.append(rows_of(car, before[number], studies))
        gains.append(possible_gain(car))
        luck.append(luck_of_validation(car))
        own = studies["tpe", "expected F1"]
        kept.append(kept_promises.rows_of(car, own, num_draws=options.draws, random=random))
        print(f"car {number}: replayed", file=sys.stderr, flush=True)
    num_points = len(next(iter(cars.values())).trainings)
    print(f"{len(cars)} cars, {num_points} networks, {options.replays} studies of {options.trials} trials each\n")
    for title, part in PARTS.items():
        if found[part]:
            print(f"{title}\n")
            rows, promises = columns_of(found[part]), columns_of(kept[part])
            print_goals(rows, np.array(gains[part]), promises)
            print_sought(rows, np.array(gains[part]), np.array(luck[part]))
            print_rules(rows)
    print_repeats(options, cars)


if __name__ == "__main__":
    main()
