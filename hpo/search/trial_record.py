"""Optuna's frozen trial, unpacked once for everything that reads it: the winner, the report, the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from core.decision.take_counts import TakeCounts
from hpo.tracking.run_key import FIRST_RUN, numbered_run_key

EPOCHS = "epochs"
"""User attribute: one mapping for each epoch, with the key `epoch` (from 1) and the metrics that are sent to MLflow."""
FACTS = "facts"
"""User attribute: derived facts (num_weights, num_layers, ...) and figures at the best epoch."""
TAKE_COUNTS = "take_counts"
"""User attribute of a complete trial: its TakeCounts at the best epoch as lists. An earlier version has none."""
FAILURE = "failure"
"""User attribute: why the trial failed, in one line."""
STOPPED = "stopped"
"""User attribute, and tag of the run: why the trial was pruned, where the pruner did not decide that."""

RUN = "run"
"""User attribute: number of the trial's run in MLflow (hpo/tracking/run_key.py). Absent for the first."""

STATE_NAMES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A trial's parameters, epochs and result."""

    number: int
    state: str
    """One of the values of STATE_NAMES."""
    objective: float | None
    """The value of the study's objective; None unless the trial is complete."""
    parameters: Mapping[str, Any]
    epochs: Sequence[Mapping[str, float]]
    facts: Mapping[str, Any]
    """best_epoch, val_auc, test_f1, test_auc, num_weights, num_layers, ...; empty where no epoch has ended."""
    failure: str | None
    seconds: float | None
    """Wall-clock seconds from the last start to the end; None until the trial has ended."""
    take_counts: TakeCounts | None = None
    """What each validation take adds to the objective; None unless the trial is complete, or of an earlier version."""

    @property
    def best_epoch(self) -> Mapping[str, float]:
        """The figures of the epoch with the best validation AUC; empty where no epoch has ended."""
        rows = (row for row in self.epochs if row["epoch"] == self.facts.get("best_epoch"))
        return next(rows, {})

    @classmethod
    def of(cls, trial: FrozenTrial) -> "TrialRecord":
        attrs = trial.user_attrs
        return cls(
            number=trial.number,
            state=STATE_NAMES[trial.state],
            objective=trial.value if trial.state is TrialState.COMPLETE else None,
            parameters=trial.params,
            epochs=attrs.get(EPOCHS, ()),
            facts=attrs.get(FACTS, {}),
            failure=attrs.get(FAILURE),
            seconds=trial.duration.total_seconds() if trial.duration else None,
            take_counts=TakeCounts.of_lists(attrs[TAKE_COUNTS]) if TAKE_COUNTS in attrs else None,
        )


def run_key(uid: str, trial: optuna.Trial | FrozenTrial) -> str:
    """The key of a trial's current run in MLflow. `uid` is that of the trial's study, or of its companion."""
    return numbered_run_key(f"{uid}/{trial.number}", trial.user_attrs.get(RUN, FIRST_RUN))


def trial_records(study: optuna.Study) -> list[TrialRecord]:
    """All trials of a study, by number."""
    return [TrialRecord.of(trial) for trial in study.get_trials(deepcopy=False)]
