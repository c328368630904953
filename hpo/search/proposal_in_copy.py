"""A sampler that is asked for all parameters of a trial at once, in a copy of its study in memory.

Other studies' trials may stand in the copy, too (hpo/search/history.py). And a trial of which a process died between
two parameters gets the others as if it had not: samplers draw parameters one after the other, or remember in the
trial what they drew, so that going on in the study itself would give others.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

SEEN = (TrialState.COMPLETE, TrialState.PRUNED)
"""The states of trials from which samplers learn."""
GIVEN = "fixed_params"
"""Optuna's system attribute of a trial: the parameters with which it was enqueued."""
Copy = Callable[[Sequence[FrozenTrial]], Sequence[FrozenTrial]]
"""From a study's own trials to those that the sampler sees."""


class ProposalInCopy(optuna.samplers.BaseSampler):
    """Another sampler's proposal for one trial. `distributions` are those of all parameters, in the order in which they
    are asked for."""

    def __init__(
        self,
        sampler: optuna.samplers.BaseSampler,
        distributions: Mapping[str, BaseDistribution],
        copied: Copy = tuple,
    ) -> None:
        self._sampler = sampler
        self._distributions = dict(distributions)
        self._copied = copied
        self._proposal: Mapping[str, Any] | None = None

    def infer_relative_search_space(self, *_: object) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, *_: object) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, *_: object) -> Any:
        if self._proposal is None:
            copy = optuna.create_study(direction=study.direction, sampler=self._sampler)
            copy.add_trials(self._copied(study.get_trials(deepcopy=False, states=SEEN)))
            copy.enqueue_trial(trial.system_attrs.get(GIVEN, {}))
            self._proposal = copy.ask(self._distributions).params
        return self._proposal[param_name]
