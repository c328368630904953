"""How long a study still takes: from a measurement before the first trial, and from the trials that have ended."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.search.trial_record import TrialRecord


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast this machine works on the study."""

    num_processes: int
    epochs: int
    """Of a trial that is not pruned."""
    estimate_s: float | None
    """Measured seconds of a training of the default network that is not pruned; None where nothing was measured."""
    trainings_a_trial: float = 1.0
    """Below 1 where trials share trainings."""

    def seconds_left(
        self, ended: Sequence[TrialRecord], *, num_missing: int, num_finalist_epochs: int, num_epochs_done: int
    ) -> float | None:
        """Seconds until `num_missing` trials and `num_finalist_epochs` epochs of finalists are trained, of which
        `num_epochs_done` have been. None while neither a measurement nor an ended trial is there.

        The measurement counts as one more trial, so it matters less with each trial that ends.
        """
        seconds = [record.seconds or 0.0 for record in ended]
        epochs = [len(record.epochs) for record in ended]
        if self.estimate_s is not None:
            seconds.append(self.estimate_s * self.trainings_a_trial)
            epochs.append(self.epochs)
        if not sum(epochs):
            return None
        trial_s = sum(seconds) / len(seconds)
        epoch_s = sum(seconds) / sum(epochs) / self.trainings_a_trial
        work_s = num_missing * trial_s + (num_finalist_epochs - num_epochs_done) * epoch_s
        return max(0.0, work_s) / self.num_processes


class Countdown:
    """Runs down between two values that differ."""

    def __init__(self) -> None:
        self._value: float | None = None
        self._since = 0.0

    def at(self, seconds_left: float | None) -> float | None:
        """The seconds that are left now, where `seconds_left` is the newest value, which may be some time old."""
        if seconds_left != self._value:
            self._value, self._since = seconds_left, time.monotonic()
        return None if self._value is None else max(0.0, self._value - (time.monotonic() - self._since))


def clock(seconds: float | None) -> str:
    """Hours, minutes and seconds as people write them; dashes for None."""
    if seconds is None:
        return "-:--:--"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def duration(seconds: float) -> str:
    """About so long, in words."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
