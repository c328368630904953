"""A sampler with a history: trials of other studies, beside those of its own study.

Studies are on other data, where the same configuration has another value. So every study's values count in standard
deviations from that study's mean: a study of an easier machine is no better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

HISTORY = "history"
"""User attribute of a study: the histories that it began with. Absent where there are none."""


@dataclass(frozen=True, kw_only=True)
class History:
    """Complete trials of another study."""

    study: str
    parameters: Sequence[Mapping[str, Any]]
    """Of each trial those that are searched here, in their ranges here."""
    values: Sequence[float]
    """Finite."""


def histories_of(study: optuna.Study) -> list[History]:
    return [History(**each) for each in study.user_attrs.get(HISTORY, [])]


def with_histories(
    own: Sequence[FrozenTrial], histories: Sequence[History], distributions: Mapping[str, BaseDistribution]
) -> list[FrozenTrial]:
    """What a sampler sees: a study's own trials and those of the histories, or its own alone where there are none."""
    if not histories:
        return list(own)
    others = [
        optuna.create_trial(
            params=dict(parameters), distributions={name: distributions[name] for name in parameters}, value=value
        )
        for history in histories
        for parameters, value in zip(history.parameters, in_deviations(history.values), strict=True)
    ]
    return [*others, *_standardised(own)]


def in_deviations(values: Sequence[float]) -> list[float]:
    """(N,) finite values in standard deviations from their mean; 0 where all are equal."""
    centred = np.array(values) - np.mean(values) if len(values) else np.empty(0)
    deviation = float(np.sqrt(np.square(centred).mean())) if len(values) else 0.0
    scaled: list[float] = (centred / deviation if deviation > 0 else np.zeros(len(values))).tolist()
    return scaled


def _standardised(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Complete trials with their values in deviations; the others, which have none, as they are."""
    complete = [trial for trial in trials if trial.value is not None and trial.state is TrialState.COMPLETE]
    without_value = [trial for trial in trials if trial.state is not TrialState.COMPLETE]
    values = in_deviations([trial.value for trial in complete if trial.value is not None])
    return [
        optuna.create_trial(params=trial.params, distributions=trial.distributions, value=value)
        for trial, value in zip(complete, values, strict=True)
    ] + without_value
