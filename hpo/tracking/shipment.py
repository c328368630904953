"""Sends one event file to one tracking server. A bookmark file beside it holds how much of it the server has.

The bookmark file has an entry for each server, so another server gets everything from the start. Losing the file does
no harm: all events are sent again, and the server adds nothing twice.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from core.whole_file import write_text
from hpo.tracking.errors import RunDeleted, RunReplaced, TryLater
from hpo.tracking.mlflow import MlflowExperiment
from hpo.tracking.run_log import (
    Attached,
    Event,
    Measured,
    Started,
    StoredEvent,
    read_events,
    read_events_after,
    sync_to_disk,
)

_MOST_EVENTS_A_CALL = 50
_FAILURES_BEFORE_SKIPPING = 10
"""With the shipper's pauses these take two to three minutes. The server took other writes meanwhile."""


class Stuck(TryLater):
    """The server takes other writes, but not this event, and may take it later."""


@dataclass(frozen=True, kw_only=True)
class Bookmark:
    """How much of one event file one server has."""

    experiment: str = ""
    """Identity of the experiment. Another experiment gets everything from the start."""
    run_key: str = ""
    """Key of the run in the file. Another run in the same file is sent from its start. Empty in files of before."""
    run_id: str = ""
    offset_bytes: int = 0
    """Everything before this offset is on the server, or was refused by it."""
    is_given_up: bool = False
    """The run was deleted in MLflow, or the trial was taken over by another machine: nothing more is sent for it."""
    postponed: Sequence[int] = ()
    """Offsets of artifacts that could not be stored, because the server's disk is full or cannot be written. They do
    not delay other events, and are retried until they are stored."""


class Shipment:
    """Sends one event file. Several processes may try at once: the one that holds the file's lock sends."""

    def __init__(self, path: Path, server: str, warn: Callable[[str], None]) -> None:
        """`server` is the key of the bookmark: it names the server and the experiment, without passwords."""
        self._path = path
        self._server = server
        self._warn = warn
        self.run_id = ""
        """Set once the server has the run."""
        self._complete_bytes = -1
        """Size of the file when all of it had been sent."""
        self._num_failures = 0
        """How often in a row the server failed on the next event."""

    def ship(self, experiment: MlflowExperiment, keep_going: Callable[[], bool]) -> int:
        """Sends what the server does not have, while `keep_going` returns True. Returns how many records it refused for
        good. Raises ExperimentDeleted, or TryLater (Stuck where only this file is concerned)."""
        if self._path.stat().st_size == self._complete_bytes:
            return 0
        try:
            with FileLock(f"{self._path}.lock", blocking=False):
                return self._ship_locked(experiment, keep_going)
        except Timeout:
            return 0

    def count_left(self) -> int:
        """The number of whole events that the server does not have, according to the bookmark."""
        start = self._start()
        if start is None:
            return 0
        bookmark = self._bookmark(start)
        if bookmark.is_given_up:
            return 0
        return len(bookmark.postponed) + sum(1 for _ in read_events_after(self._path, bookmark.offset_bytes))

    def is_of_another_server(self) -> bool:
        """Whether the records have only ever been sent to other servers."""
        bookmarks = _read_bookmarks(self._path)
        return bool(bookmarks) and self._server not in bookmarks

    def _start(self) -> Started | None:
        """The first start of the run. None in a study's own file as long as only workers have written to it: the search
        itself starts the run."""
        events = (stored.event for stored in read_events_after(self._path, 0))
        return next((event for event in events if isinstance(event, Started)), None)

    def _bookmark(self, start: Started) -> Bookmark:
        """That of the file's last run, which begins with `start`."""
        bookmark = _read_bookmarks(self._path).get(self._server, Bookmark())
        is_of_run = bookmark.run_key in ("", start.run_key)
        return replace(bookmark if is_of_run else Bookmark(), run_key=start.run_key)

    def _ship_locked(self, experiment: MlflowExperiment, keep_going: Callable[[], bool]) -> int:
        num_refused = 0
        sync_to_disk(self._path)  # after a power cut no bookmark may lie past the file's end
        size_bytes = self._path.stat().st_size
        start = self._start()
        if start is None:
            return 0
        bookmark = self._bookmark(start)
        if bookmark.experiment != experiment.identity:
            bookmark = Bookmark(experiment=experiment.identity, run_key=start.run_key)
        self.run_id = bookmark.run_id
        # One by one after a failure: the event that fails is found, and no other fails with it.
        most_events = 1 if self._num_failures else _MOST_EVENTS_A_CALL
        for group in _groups(read_events_after(self._path, bookmark.offset_bytes), most_events):
            if bookmark.is_given_up or not keep_going():
                break
            bookmark, refused = self._send(experiment, bookmark, start, group)
            self.run_id = bookmark.run_id
            self._num_failures = 0
            _write_bookmark(self._path, self._server, bookmark)
            num_refused += self._note_refused(refused)
            if bookmark.offset_bytes < group[-1].end_bytes:
                break  # all is sent again, in the next pass
        while bookmark.postponed and not bookmark.is_given_up and keep_going():
            bookmark, refused = self._send_postponed(experiment, bookmark, start)
            _write_bookmark(self._path, self._server, bookmark)
            num_refused += self._note_refused(refused)
        if bookmark.is_given_up or (bookmark.offset_bytes >= size_bytes and not bookmark.postponed):
            self._complete_bytes = size_bytes
        return num_refused

    def _note_refused(self, refused: Sequence[str]) -> int:
        for line in refused:
            self._warn(f"{self._name()}: not taken by MLflow, and left out: {line}")
        return len(refused)

    def _send(
        self, experiment: MlflowExperiment, bookmark: Bookmark, start: Started, group: Sequence[StoredEvent]
    ) -> tuple[Bookmark, list[str]]:
        """The next bookmark, and a line for each record that was refused."""
        first = group[0].event
        try:
            if not bookmark.run_id:
                bookmark = replace(bookmark, run_id=experiment.find_or_create_run(start))
            refused = experiment.send(bookmark.run_id, [stored.event for stored in group], self._path.parent)
        except RunReplaced:
            return self._after_replacement(experiment, bookmark, start), []
        except RunDeleted:
            return self._after_deletion(bookmark), []
        except TryLater as trouble:
            if trouble.wait_seconds is not None or not experiment.takes_writes():
                raise
            if isinstance(first, Attached) and bookmark.run_id:
                postponed = [*bookmark.postponed, bookmark.offset_bytes]
                return replace(bookmark, offset_bytes=group[-1].end_bytes, postponed=postponed), []
            self._num_failures += 1
            if self._num_failures < _FAILURES_BEFORE_SKIPPING or not bookmark.run_id:
                raise Stuck(f"{self._name()}, {_describe(first)}: {trouble}") from trouble
            refused = [f"{_describe(first)}: {trouble} (tried {self._num_failures} times)"]
        return replace(bookmark, offset_bytes=group[-1].end_bytes), refused

    def _send_postponed(
        self, experiment: MlflowExperiment, bookmark: Bookmark, start: Started
    ) -> tuple[Bookmark, list[str]]:
        """Sends the first postponed artifact. Raises Stuck where it still cannot be stored."""
        event = next(read_events_after(self._path, bookmark.postponed[0])).event
        try:
            refused = experiment.send(bookmark.run_id, [event], self._path.parent)
        except RunReplaced:
            return self._after_replacement(experiment, bookmark, start), []
        except RunDeleted:
            return self._after_deletion(bookmark), []
        except TryLater as trouble:
            if trouble.wait_seconds is not None:
                raise
            where = "make sure that the store of its artifacts can be written and has room"
            raise Stuck(f"{self._name()}, {_describe(event)}: {trouble}; {where}") from trouble
        return replace(bookmark, postponed=bookmark.postponed[1:]), refused

    def _after_replacement(self, experiment: MlflowExperiment, bookmark: Bookmark, start: Started) -> Bookmark:
        """All is sent again to the run that is left, where two machines had made one each; given up where another
        machine has taken the trial over."""
        try:
            run_id = experiment.find_or_create_run(start)
        except RunReplaced:
            return replace(bookmark, is_given_up=True)
        except RunDeleted:
            return self._after_deletion(bookmark)
        return Bookmark(experiment=bookmark.experiment, run_key=bookmark.run_key, run_id=run_id)

    def _after_deletion(self, bookmark: Bookmark) -> Bookmark:
        """Given up, and said."""
        self._warn(f"{self._name()} was deleted in MLflow: nothing more is sent for it.")
        return replace(bookmark, is_given_up=True)

    def _name(self) -> str:
        """The run's name, for messages."""
        names = [event.name for event in read_events(self._path) if isinstance(event, Started)]
        return f"Run {names[-1]!r}" if names else str(self._path)


def _describe(event: Event) -> str:
    if isinstance(event, Attached):
        return f"artifact {event.path}"
    return f"metrics of step {event.step}" if isinstance(event, Measured) else type(event).__name__.lower()


def _groups(events: Iterable[StoredEvent], most_events: int) -> Iterator[list[StoredEvent]]:
    """Groups consecutive metrics; every other event is a group of one."""
    group: list[StoredEvent] = []
    for stored in events:
        fits = group and isinstance(group[0].event, Measured) and isinstance(stored.event, Measured)
        if group and not (fits and len(group) < most_events):
            yield group
            group = []
        group.append(stored)
    if group:
        yield group


def _read_bookmarks(log_path: Path) -> Mapping[str, Bookmark]:
    try:
        content = json.loads(_bookmark_path(log_path).read_text())
    except (FileNotFoundError, ValueError):  # a power cut can leave an empty file
        return {}
    return {server: Bookmark(**entry) for server, entry in content.items()}


def _write_bookmark(log_path: Path, server: str, bookmark: Bookmark) -> None:
    entries: dict[str, Any] = {name: asdict(entry) for name, entry in _read_bookmarks(log_path).items()}
    path = _bookmark_path(log_path)
    write_text(path, json.dumps({**entries, server: asdict(bookmark)}, indent=1))


def _bookmark_path(log_path: Path) -> Path:
    return log_path.with_name(f"{log_path.name}.shipped")
