"""Which trials of its study a trial knows: what it is proposed by, and pruned by.

    trial     0 1 2 ...  n - lag    n - lag + 1 ... n - 1     n
    known by  results               parameters alone

The trials between count as running, whether they have ended or not. So a study comes out the same for any number of
processes up to `lag`, whichever of them are faster: at most so many trials run at once. With a lag of 0 a trial knows
whatever has ended.
"""

from collections.abc import Container, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

LEARNED_FROM = (TrialState.COMPLETE, TrialState.PRUNED)
"""The states of trials from whose results a sampler learns."""


def may_begin(trials: Sequence[FrozenTrial], number: int, *, lag: int) -> bool:
    """Whether all trials have ended whose results trial `number` knows. `trials` are all of the study, in order."""
    return lag == 0 or all(trial.state.is_finished() for trial in trials[: _num_with_results(number, lag)])


def known_trials(trials: Sequence[FrozenTrial], number: int, *, lag: int) -> list[FrozenTrial]:
    """What the sampler sees for trial `number`: trials with results, and running ones. `trials` as in `may_begin`.

    Leaves out trials with a parameter outside of its range, which somebody has enqueued by other means.
    """
    others = [trial for trial in trials if trial.number != number and _is_in_range(trial)]
    if lag == 0:
        return [_copy(trial, trial.state) for trial in others if trial.state in (*LEARNED_FROM, TrialState.RUNNING)]
    end = _num_with_results(number, lag)
    with_results = [trial for trial in others if trial.number < end and trial.state in LEARNED_FROM]
    between = [trial for trial in others if end <= trial.number < number]
    return [_copy(trial, trial.state) for trial in with_results] + [_copy(each, TrialState.RUNNING) for each in between]


def should_prune(trial: optuna.Trial, *, lag: int) -> bool:
    """Whether the pruner ends a trial at the epoch that was reported last, by the trials whose results it knows.

    Hyperband's brackets read the storage itself, so what they end depends on which trial is faster.
    """
    study = trial.study
    return study.pruner.prune(_KnownStudy(study, trial.number, lag=lag), study._storage.get_trial(trial._trial_id))


class _KnownStudy(optuna.Study):
    """A study with those trials alone whose results trial `number` knows."""

    def __init__(self, study: optuna.Study, number: int, *, lag: int) -> None:
        super().__init__(study.study_name, study._storage, pruner=study.pruner)
        self._end = _num_with_results(number, lag) if lag else None

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        known = super().get_trials(deepcopy=deepcopy, states=states)
        return [trial for trial in known if self._end is None or trial.number < self._end]


def _num_with_results(number: int, lag: int) -> int:
    return max(0, number - lag + 1)


def _is_in_range(trial: FrozenTrial) -> bool:
    ranges = trial.distributions
    return all(ranges[name]._contains(ranges[name].to_internal_repr(value)) for name, value in trial.params.items())


def _copy(trial: FrozenTrial, state: TrialState) -> FrozenTrial:
    """Without attributes, which hold a trial's epochs and facts, and with results only where the state has them."""
    has_results = state in LEARNED_FROM
    return optuna.create_trial(
        state=state,
        value=trial.value if has_results else None,
        params=trial.params,
        distributions=trial.distributions,
        intermediate_values=trial.intermediate_values if has_results else {},
    )
