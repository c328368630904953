"""A sampler that is asked for all parameters of a trial at once, in a study in memory.

That study holds what the trial knows (hpo/search/known_trials.py) and perhaps other studies' trials
(hpo/search/history.py). And a trial of which a process died between two parameters gets the others as if it had not:
samplers draw parameters one after the other, or remember in the trial what they drew, so that going on in the study
itself would give others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

GIVEN = "fixed_params"
"""Optuna's system attribute of a trial: the parameters with which it was enqueued."""


class ProposalInCopy(optuna.samplers.BaseSampler):
    """Another sampler's proposal for one trial, which sees the trials of `known`. `distributions` are those of all
    parameters, in the order in which they are asked for."""

    def __init__(
        self,
        sampler: optuna.samplers.BaseSampler,
        distributions: Mapping[str, BaseDistribution],
        known: Sequence[FrozenTrial],
    ) -> None:
        self._sampler = sampler
        self._distributions = dict(distributions)
        self._known = known
        self._proposal: Mapping[str, Any] | None = None

    def infer_relative_search_space(self, *_: object) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, *_: object) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, *_: object) -> Any:
        if self._proposal is None:
            copy = optuna.create_study(direction=study.direction, sampler=self._sampler)
            copy.add_trials(self._known)
            copy.enqueue_trial(trial.system_attrs.get(GIVEN, {}))
            self._proposal = copy.ask(self._distributions).params
        return self._proposal[param_name]
