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
SEEN = (TrialState.COMPLETE, TrialState.PRUNED)
"""The states of trials from which samplers learn."""


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


class SamplerWithHistory(optuna.samplers.BaseSampler):
    """Asks another sampler in a study that holds the histories, too. It is for one trial: it asks once."""

    def __init__(
        self,
        sampler: optuna.samplers.BaseSampler,
        histories: Sequence[History],
        distributions: Mapping[str, BaseDistribution],
    ) -> None:
        self._sampler = sampler
        self._histories = histories
        self._distributions = dict(distributions)
        self._proposal: Mapping[str, Any] | None = None

    def infer_relative_search_space(self, *_: object) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, *_: object) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: optuna.Study, _: FrozenTrial, param_name: str, *__: object) -> Any:
        if self._proposal is None:
            self._proposal = self._joined(study).ask(self._distributions).params
        return self._proposal[param_name]

    def _joined(self, study: optuna.Study) -> optuna.Study:
        joined = optuna.create_study(direction=study.direction, sampler=self._sampler)
        joined.add_trials([*self._history_trials(), *_standardised(study.get_trials(deepcopy=False, states=SEEN))])
        return joined

    def _history_trials(self) -> list[FrozenTrial]:
        return [
            optuna.create_trial(
                params=dict(parameters),
                distributions={name: self._distributions[name] for name in parameters},
                value=value,
            )
            for history in self._histories
            for parameters, value in zip(history.parameters, in_deviations(history.values), strict=True)
        ]


def in_deviations(values: Sequence[float]) -> list[float]:
    """(N,) finite values in standard deviations from their mean; 0 where all are equal."""
    centred = np.array(values) - np.mean(values) if len(values) else np.empty(0)
    deviation = float(np.sqrt(np.square(centred).mean())) if len(values) else 0.0
    scaled: list[float] = (centred / deviation if deviation > 0 else np.zeros(len(values))).tolist()
    return scaled


def _standardised(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Complete trials with their values in deviations; pruned ones as they are."""
    complete = [trial for trial in trials if trial.value is not None and trial.state is TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    values = in_deviations([trial.value for trial in complete if trial.value is not None])
    return [
        optuna.create_trial(params=trial.params, distributions=trial.distributions, value=value)
        for trial, value in zip(complete, values, strict=True)
    ] + pruned
