"""The rules that benchmarks/does_it_pay.py compares: what is sampled and maximised, and how a winner is chosen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.choice_rules import (
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
from benchmarks.replayed_cars import default_trial, figures_of
from benchmarks.replayed_studies import OBJECTIVES, Car, FloatArray, ReplayedTrial, highest, replay

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


Studies = Mapping[tuple[str, str], Sequence[Sequence[ReplayedTrial]]]
"""The trials of each replayed study, by sampler and objective."""


def replayed(car: Car, *, num_replays: int, num_trials: int) -> Studies:
    """The studies of all rules. Rules that differ in how they choose share them."""
    return {
        (kind, objective): [
            replay(car, OBJECTIVES[objective], kind=kind, num_trials=num_trials, seed=seed)
            for seed in range(num_replays)
        ]
        for kind, objective in {(rule.kind, rule.objective): None for rule in RULES}
    }


def rows_of(car: Car, before: Car, studies: Studies) -> dict[str, FloatArray]:
    """(FIGURES,) by rule, each the mean of the replays."""
    default, of_before = default_trial(car), default_trial(before)
    rows = {
        CF29BB1: figures_of(of_before),
        f"{CF29BB1}, threshold fitted on validation": figures_of(of_before.fitted),
        DEFAULT: figures_of(default),
        "trial 0, threshold fitted on validation": figures_of(default.fitted),
    }
    for rule in RULES:
        own = studies[rule.kind, rule.objective]
        chosen = [rule.choose(trials) for trials in own]
        rows[rule.name] = np.mean([figures_of(trial) for trial in chosen], axis=0)
        if rule.name == NOW:
            middles = [middle_of_family(car, trials) for trials in own]
            rows[MIDDLE] = np.mean([figures_of(trial) for trial in middles], axis=0)
            rows[POST_BEFORE] = np.mean([figures_of(best_post(car, trial)) for trial in chosen], axis=0)
            rows[POST_NOW] = np.mean([figures_of(post_by_rule(car, trial)) for trial in chosen], axis=0)
    return rows
