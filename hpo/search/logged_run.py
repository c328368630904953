"""What a trial's event file holds beside figures: tags, parameters, and the time of every record.

A trial keeps it in Optuna, so any machine can make the trial's run in MLflow again. The times are the original ones:
MLflow drops a point that it has, but only where the time is equal, too. So records that arrive after such a repair,
from a machine that was cut off, add nothing twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from optuna.trial import FrozenTrial

from hpo.tracking.run_log import Ended, Event, Measured, Started

LOGGED = "logged"
"""User attribute of an ended trial: a LoggedRun as a mapping."""


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """Times are in milliseconds."""

    start_ms: int
    end_ms: int
    epochs_ms: Mapping[str, int] = field(default_factory=dict)
    """By the epoch's number in words, because JSON has no other keys."""
    last_ms: int
    """Of the figures that are logged after the last epoch."""
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str | int | float] = field(default_factory=dict)

    @classmethod
    def of_events(cls, events: Sequence[Event], *, end_ms: int) -> "LoggedRun | None":
        """From the events of one run; None where they lack a start. `end_ms` counts where they lack the end."""
        starts = [event for event in events if isinstance(event, Started)]
        if not starts:
            return None
        if isinstance(events[-1], Ended):
            end_ms = events[-1].time_ms
        measured = [event for event in events if isinstance(event, Measured)]
        epochs = {str(event.step): event.time_ms for event in measured if "val_auc" in event.values}
        others = [event.time_ms for event in measured if event.values and "val_auc" not in event.values]
        return cls(
            start_ms=starts[0].time_ms,
            end_ms=end_ms,
            epochs_ms=epochs,
            last_ms=others[-1] if others else end_ms,
            tags=starts[-1].tags,
            params=starts[-1].params,
        )

    @classmethod
    def of_trial(cls, trial: FrozenTrial) -> "LoggedRun | None":
        """None for a trial that ended without it: one of an earlier version, or one that killed its processes."""
        kept = trial.user_attrs.get(LOGGED)
        return cls(**kept) if kept else None

    def as_attribute(self) -> dict[str, Any]:
        return asdict(self)
