"""Which sampler, pruner and history bring the most in equal time? Studies are replayed on a table of trainings.

    python benchmarks/search_budget.py budget --table FOLDER [--cars 10] [--points 8] [--replays 4]
    python benchmarks/search_budget.py history --table FOLDER [--cars 10] [--points 8] [--replays 4]
    python benchmarks/search_budget.py lag --table FOLDER [--cars 10] [--points 8] [--replays 4]

The table is that of benchmarks/does_it_pay.py. Regret is the F1 on fresh takes of the best by hindsight minus that of
the winner, which the product's rule chooses from the trials that are complete by then. Intervals of 95 % are of a
bootstrap over cars.

    budget     samplers with pruners: regret after parts of the time that the study's trials would take unpruned. An
               epoch takes what throw-away networks of its size take here, and a sampler its processor time.
    history    regret after a few trials of a study that begins with another car's study, as --warm-start does it: with
               its best configurations as first trials, with its trials as history of the sampler, or with both.
    lag        regret after a few trials where the sampler knows all trials before (1), or those that are so far before.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import torch
from optuna.pruners import BasePruner, SuccessiveHalvingPruner

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from benchmarks.choice_rules import by_rule
from benchmarks.intervals_over_cars import interval
from benchmarks.replayed_cars import STUDY, default_trial, figures_of, load_cars, possible_gain
from benchmarks.replayed_studies import OBJECTIVES, Car, FloatArray, ReplayedTrial, replay
from benchmarks.table_of_trainings import Car as CarData
from benchmarks.table_of_trainings import parameters_of
from core.data.store import Store
from core.thread_pool import ThreadPool
from hpo.search.estimate import trial_seconds
from hpo.search.history import History
from hpo.search.samplers import make_pruner
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec
from hpo.search.study_tables import PrunerConfig
from hpo.session.warm_start import BEST

OBJECTIVE = OBJECTIVES["expected F1"]
SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the time of all trials unpruned."""
MOST_TRIALS = 400
NUM_TRIALS = (5, 10, 20)
"""After which the effect of a history is measured."""
DONOR_SEED = 100
LAGS, NUM_LAGGED_TRIALS = (1, 4, 8, 16), (12, 25, 50)


@dataclass(frozen=True, kw_only=True)
class Search:
    """A sampler with a pruner."""

    name: str
    kind: str = "tpe"
    pruner: Callable[[StudySpec], BasePruner] | None = None


def _hyperband(spec: StudySpec) -> BasePruner:
    return make_pruner(PrunerConfig(kind="hyperband", warmup_epochs=1), spec.training.epochs)


SEARCHES = (
    Search(name="random, none", kind="random"),
    Search(name="TPE, none"),
    Search(name="GP, none", kind="gp"),
    Search(name="TPE, median", pruner=lambda spec: make_pruner(spec.pruner, spec.training.epochs)),
    Search(name="TPE, successive halving by 2", pruner=lambda _: SuccessiveHalvingPruner(1, reduction_factor=2)),
    Search(name="TPE, successive halving by 3", pruner=lambda _: SuccessiveHalvingPruner(1, reduction_factor=3)),
    Search(name="TPE, Hyperband", pruner=_hyperband),
    Search(name="random, successive halving by 2", kind="random", pruner=lambda _: SuccessiveHalvingPruner(1, 2)),
)
STARTS = ("alone", "its best first", "its trials as history", "both: --warm-start")


def epoch_seconds_of(car: Car, options: argparse.Namespace) -> dict[int, float]:
    """By point."""
    spec = car.spec
    data = CarData(spec=spec, seed=1, num_fresh=0, store=Store(options.table / "store")).dataset
    with ThreadPool(1) as pool:
        return {
            point: trial_seconds(
                spec.search_space.configuration(parameters_of(spec, point)),
                data,
                torch.device("cpu"),
                pool,
                clock=time.process_time,
            )
            / spec.training.epochs
            for point in car.trainings
        }


def regret(car: Car, trials: Sequence[ReplayedTrial]) -> float:
    best_f1 = figures_of(default_trial(car))[0] + possible_gain(car)
    return float(best_f1 - figures_of(by_rule(trials))[0])


def budget_rows(car: Car, options: argparse.Namespace, seconds: Mapping[int, float]) -> dict[str, FloatArray]:
    """(SHARES + 1,) by search, each the mean of the replays: regrets, then the number of complete trials."""
    full_s, rows = options.trials * car.num_epochs * seconds[0], {}
    for search in SEARCHES:
        found = []
        for seed in range(options.replays):
            trials = replay(
                car,
                OBJECTIVE,
                kind=search.kind,
                num_trials=MOST_TRIALS,
                seed=seed,
                pruner=search.pruner(car.spec) if search.pruner else None,
                epoch_seconds=seconds,
                max_seconds=full_s,
            )
            regrets = [regret(car, [t for t in trials if t.ended_s <= share * full_s]) for share in SHARES]
            found.append([*regrets, len(trials)])
        rows[search.name] = np.mean(found, axis=0)
    return rows


def history_rows(car: Car, donor: Car, options: argparse.Namespace) -> dict[str, FloatArray]:
    """(NUM_TRIALS,) regrets by start, each the mean of the replays."""
    found: dict[str, list[list[float]]] = {start: [] for start in STARTS}
    for seed in range(options.replays):
        known = replay(donor, OBJECTIVE, kind="tpe", num_trials=options.trials, seed=DONOR_SEED + seed)
        best = [trial.parameters for trial in sorted(known, key=lambda trial: -trial.value)[:BEST]]
        history = History(
            study="donor", parameters=[trial.parameters for trial in known], values=[trial.value for trial in known]
        )
        for start in STARTS:
            trials = replay(
                car,
                OBJECTIVE,
                kind="tpe",
                num_trials=max(NUM_TRIALS),
                seed=seed,
                first=best if start in ("its best first", "both: --warm-start") else (),
                histories=[history] if start in ("its trials as history", "both: --warm-start") else (),
            )
            found[start].append([regret(car, trials[:count]) for count in NUM_TRIALS])
    return {start: np.mean(rows, axis=0) for start, rows in found.items()}


def lag_rows(car: Car, options: argparse.Namespace) -> dict[str, FloatArray]:
    """(NUM_LAGGED_TRIALS,) regrets of the study's sampler by lag, each the mean of the replays."""
    rows, kind = {}, car.spec.sampler.kind
    for lag in LAGS:
        studies = [
            replay(car, OBJECTIVE, kind=kind, num_trials=max(NUM_LAGGED_TRIALS), seed=seed, lag=lag)
            for seed in range(options.replays)
        ]
        regrets = [[regret(car, trials[:count]) for count in NUM_LAGGED_TRIALS] for trials in studies]
        rows[f"a lag of {lag}"] = np.mean(regrets, axis=0)
    return rows


def print_rows(rows: Mapping[str, FloatArray], columns: Sequence[str], *, reference: str, num_regrets: int) -> None:
    """(cars, columns) by name, of which the first are regrets."""
    print(f"| | {' | '.join(columns)} | mean regret minus that of: {reference} |\n|{' --- |' * (2 + len(columns))}")
    for name, values in rows.items():
        cells = [f"{mean:.3f}" for mean in values.mean(axis=0)[:num_regrets]]
        cells += [f"{mean:.1f}" for mean in values.mean(axis=0)[num_regrets:]]
        differences = (values - rows[reference])[:, :num_regrets].mean(axis=1)
        print(f"| {name} | {' | '.join(cells)} | {interval(differences)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=("budget", "history", "lag"))
    parser.add_argument("--table", type=Path, required=True, help="of does_it_pay.py")
    parser.add_argument("--cars", type=int, default=10, help="how many")
    parser.add_argument("--first-car", type=int, default=1)
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--replays", type=int, default=4, help="studies of each car and search")
    parser.add_argument("--trials", type=int, default=50, help="of a study that is not pruned")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spec = load_study_file(STUDY)
    numbers = range(options.first_car, options.first_car + options.cars)
    by_number = load_cars(options.table, numbers, options.points, spec)
    cars = list(by_number.values())
    found = []
    if options.question == "budget":
        seconds = epoch_seconds_of(cars[0], options)
        print("seconds of an epoch by point:", {point: round(each, 2) for point, each in seconds.items()})
    for place, (number, car) in enumerate(by_number.items()):
        if options.question == "budget":
            found.append(budget_rows(car, options, seconds))
        elif options.question == "lag":
            found.append(lag_rows(car, options))
        else:
            found.append(history_rows(car, cars[place - 1], options))
        print(f"car {number}: replayed", file=sys.stderr, flush=True)
    rows = {name: np.array([each[name] for each in found]) for name in found[0]}
    if options.question == "budget":
        columns = [f"regret at {share:.0%} of the time" for share in SHARES] + ["trials complete"]
        print_rows(rows, columns, reference="TPE, median", num_regrets=len(SHARES))
    elif options.question == "lag":
        columns = [f"regret after {count} trials" for count in NUM_LAGGED_TRIALS]
        print_rows(rows, columns, reference="a lag of 1", num_regrets=len(NUM_LAGGED_TRIALS))
    else:
        columns = [f"regret after {count} trials" for count in NUM_TRIALS]
        print_rows(rows, columns, reference="alone", num_regrets=len(NUM_TRIALS))


if __name__ == "__main__":
    main()
