"""The background shipper: sends the event files of a study to the tracking server while training runs.

Training writes events (hpo/tracking/run_log.py), calls `poke`, and never waits for a server. While the server is away
the events stay in their files. The next shipper of the study sends what is left at the end.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.full_disk import is_disk_full
from hpo.tracking.errors import ExperimentDeleted, TryLater
from hpo.tracking.mlflow import MlflowExperiment
from hpo.tracking.run_log import EVENTS_FILE_NAME
from hpo.tracking.shipment import Shipment, Stuck
from hpo.tracking.target import TrackingTarget

_SECONDS_BETWEEN_PASSES = 0.3
"""Lets a quick trial's events collect into one call."""
_SECONDS_IDLE = 5.0
"""How often files are checked without a poke: a worker that died may have left events."""
_BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Pauses after the first, second, ... failure in a row. The last one repeats."""
_MOST_SECONDS_ASKED = 300.0
"""Of a server that asks to wait (`Retry-After`); one that asks for more is called after this time."""
CLOSING_PATIENCE_SECONDS = 10.0
"""How long the shipper waits at the end for a server that is away."""
_CLOSING_PAUSE_SECONDS = 0.3
_FAILURES_BEFORE_WARNING = 2
"""A single failure is not reported."""


@dataclass(frozen=True, kw_only=True)
class ShippingReport:
    """The state of the events when the shipper was closed."""

    num_events_left: int
    """How many whole events the server does not have."""
    reason: str
    """Why some are left; empty when none is."""
    num_refused: int
    """How many records the server refused for good. Each caused a warning."""


class Shipper:
    """Sends every event file below a study's directory until it is closed."""

    def __init__(
        self,
        study_directory: Path,
        target: TrackingTarget,
        *,
        warn: Callable[[str], None],
        opened: Callable[[str], None] | None = None,
    ) -> None:
        """Calls `warn` with single lines and `opened` once with the experiment's id, both in the shipper's thread.

        `opened` may be taken away: its caller may have nothing more to say.
        """
        self._study_directory = study_directory
        self._target = target
        self._warn = warn
        self.opened = opened
        self._experiment: MlflowExperiment | None = None
        self._shipments: dict[Path, Shipment] = {}
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._patience_ends = float("inf")
        self._num_refused = 0
        self._num_failures = 0
        """In a row."""
        self._trouble = ""

    def start(self) -> None:
        """Returns at once. The thread imports and opens MLflow."""
        self._thread.start()

    def poke(self) -> None:
        """Wakes the shipper because there are new events. Returns at once."""
        self._wake.set()

    @property
    def experiment_id(self) -> str | None:
        """None until the server has answered."""
        return self._experiment.experiment_id if self._experiment else None

    def run_ids(self) -> dict[Path, str]:
        """Ids of the runs that are on the server, by the folder of their events."""
        return {path.parent: each.run_id for path, each in list(self._shipments.items()) if each.run_id}

    def close(self, timeout_seconds: float, *, patience_seconds: float = CLOSING_PATIENCE_SECONDS) -> ShippingReport:
        """Sends what is left, within the timeout. Waits for a server that is away for `patience_seconds` at most."""
        self._deadline = time.monotonic() + timeout_seconds
        self._patience_ends = time.monotonic() + patience_seconds
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_seconds)
        num_left = self.count_left()
        return ShippingReport(
            num_events_left=num_left,
            reason=(self._trouble or "there was no time for more") if num_left else "",
            num_refused=self._num_refused,
        )

    def count_left(self) -> int:
        """How many whole events this server lacks, files that were sent only to other servers included."""
        return sum(shipment.count_left() for shipment in self._find_shipments())

    def count_due(self) -> int:
        """How many whole events this server lacks. Files that were sent only to other servers do not count."""
        return sum(each.count_left() for each in self._find_shipments() if not each.is_of_another_server())

    def _run(self) -> None:
        """A bug ends this thread with a traceback, and training continues."""
        while self._has_time():
            self._wake.clear()
            try:
                self._ship_all()
            except (TryLater, OSError) as trouble:
                if isinstance(trouble, OSError) and not is_disk_full(trouble):
                    raise
                self._note_trouble(trouble)
                if not self._wait_after(trouble):
                    return
                continue
            except ExperimentDeleted:
                self._note_deleted_experiment()
                return
            self._note_success()
            if self._closing.is_set() and not self.count_left():
                return
            self._pause(_SECONDS_BETWEEN_PASSES)
            if not self._closing.is_set():
                self._wake.wait(_SECONDS_IDLE)

    def _wait_after(self, trouble: TryLater | OSError) -> bool:
        """Waits before the next attempt, as long as the server asks where it does. False where there is none, because
        the shipper is closing and its patience or its time ends before."""
        asked = trouble.wait_seconds if isinstance(trouble, TryLater) else None
        if asked is not None:
            return self._wait_until(time.monotonic() + min(asked, _MOST_SECONDS_ASKED))
        if time.monotonic() > self._patience_ends:
            return False
        self._pause(_BACKOFF_SECONDS[min(self._num_failures, len(_BACKOFF_SECONDS)) - 1])
        return True

    def _wait_until(self, moment: float) -> bool:
        """Sleeps until then, also after close() is called. False where closing leaves less time than that."""
        while (seconds := moment - time.monotonic()) > 0:
            if moment > self._deadline:
                return False
            if self._closing.is_set():
                time.sleep(seconds)
            else:
                self._closing.wait(seconds)
        return True

    def _has_time(self) -> bool:
        return time.monotonic() < self._deadline

    def _pause(self, seconds: float) -> None:
        """Sleeps until close() is called at the latest. After that, sleeps briefly."""
        if self._closing.is_set():
            time.sleep(min(seconds, _CLOSING_PAUSE_SECONDS))
        else:
            self._closing.wait(seconds)

    def _ship_all(self) -> None:
        """Sends every file once. Raises an error of the server at once, and that of one file after all files."""
        if self._experiment is None:
            self._experiment = MlflowExperiment(self._target)
            if self.opened:
                self.opened(self._experiment.experiment_id)
        stuck: Stuck | None = None
        for shipment in self._find_shipments():
            try:
                self._num_refused += shipment.ship(self._experiment, self._has_time)
            except Stuck as trouble:
                stuck = trouble
        if stuck is not None:
            raise stuck

    def _find_shipments(self) -> list[Shipment]:
        """The study's own file, then those of its trials, in the order of their folders."""
        server = f"{self._target.safe_uri} {self._target.experiment}"
        folders = [Path(folder) for folder, _, names in os.walk(self._study_directory) if EVENTS_FILE_NAME in names]
        paths = [folder / EVENTS_FILE_NAME for folder in sorted(folders)]
        for path in paths:
            if path not in self._shipments:
                self._shipments[path] = Shipment(path, server, self._warn)
        return [self._shipments[path] for path in paths]

    def _note_trouble(self, trouble: TryLater | OSError) -> None:
        self._num_failures += 1
        what = "does not take one record" if isinstance(trouble, Stuck) else "cannot be used"
        self._trouble = f"MLflow at {self._target.safe_uri} {what} ({trouble})"
        if self._num_failures == _FAILURES_BEFORE_WARNING:
            self._warn(f"{self._trouble}. Records wait in {self._study_directory} and are sent when it can.")

    def _note_success(self) -> None:
        if self._num_failures >= _FAILURES_BEFORE_WARNING:
            self._warn(f"MLflow at {self._target.safe_uri} takes records again.")
        self._num_failures, self._trouble = 0, ""

    def _note_deleted_experiment(self) -> None:
        self._trouble = f"experiment {self._target.experiment!r} was deleted in MLflow at {self._target.safe_uri}"
        self._warn(
            f"{self._trouble[0].upper()}{self._trouble[1:]}: nothing is sent to it. "
            "Restore it there, or give the study another name."
        )
