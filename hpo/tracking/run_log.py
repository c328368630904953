"""The local event file of one run: every record for the tracking server is written here first.

Each line is one JSON object. Lines are appended and never changed, so training needs no server, and a killed process
loses at most the line that it was writing. A trial's file is runs/<study>/trials/0007/events.jsonl, the study's own is
runs/<study>/events.jsonl. A start with another key begins another run: what came before it belongs to a run that
it has replaced, and readers skip it. This file does not import MLflow; hpo/tracking/shipper.py sends the events.
"""

import errno
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

EVENTS_FILE_NAME = "events.jsonl"

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, kw_only=True)
class Started:
    """The run starts, or resumes under the same key."""

    time_ms: int
    run_key: str
    """Unique among all runs, without quotes. It stays the same when the run resumes."""
    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str | int | float]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Metrics of one step. NaN and infinities are kept."""

    time_ms: int
    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Tagged:
    time_ms: int
    values: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A file that belongs to the run."""

    time_ms: int
    path: str
    """Relative to the event file's folder, with forward slashes."""
    folder: str
    """Folder among the run's artifacts; empty for their root."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    time_ms: int
    status: RunStatus
    name: str | None
    """The run's new name; None keeps the old one."""
    tags: Mapping[str, str]


Event = Started | Measured | Tagged | Attached | Ended

_CLASSES: dict[str, type[Any]] = {
    "start": Started,
    "metrics": Measured,
    "tags": Tagged,
    "artifact": Attached,
    "end": Ended,
}


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """An event and where its line ends in the file."""

    event: Event
    end_bytes: int


class RunLog:
    """Appends events to one file. Each method writes one line, and none waits for a server. Raises OSError where the
    file cannot be written (a full disk)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def start(self, run_key: str, name: str, tags: Mapping[str, str], params: Mapping[str, str | int | float]) -> None:
        """Also written when an interrupted run resumes: it is RUNNING again, under the same key."""
        assert run_key, "run_key must not be empty"
        assert not set(run_key) & set("'\"`\\"), f"run_key goes into a search filter, but is {run_key!r}"
        self._append("start", run_key=run_key, name=name, tags=dict(tags), params=dict(params))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """The first value counts where a metric is logged twice at a step: by a process that was killed before it told
        Optuna, and by the one that resumed the trial; or by two processes that share the study's own log."""
        self._append("metrics", step=int(step), values={key: _to_json(float(value)) for key, value in values.items()})

    def tags(self, values: Mapping[str, str]) -> None:
        self._append("tags", values=dict(values))

    def artifact(self, path: Path, folder: str = "") -> None:
        """The file is read when it is sent, which may be much later, so it must stay in place. A second event for the
        same path replaces the first."""
        relative = Path(os.path.relpath(path, self.path.parent)).as_posix()
        self._append("artifact", path=relative, folder=folder)

    def end(self, status: RunStatus, *, name: str | None = None, tags: Mapping[str, str] | None = None) -> None:
        """On the disk when it returns, with all lines before it: a power cut that follows loses nothing of the run."""
        self._append("end", status=status, name=name, tags=dict(tags or {}))
        sync_to_disk(self.path)
        for folder in (self.path.parent, self.path.parent.parent):  # the names of a new file and of its new folder
            sync_to_disk(folder)

    def _append(self, kind: str, **content: Any) -> None:
        event = {"kind": kind, "time_ms": time.time_ns() // 1_000_000, **content}
        line = json.dumps(event, allow_nan=False).encode() + b"\n"
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if not _ends_whole(descriptor):
                line = b"\n" + line
            # One call, so that lines of several processes do not mix. The study's own file has several writers.
            written = os.write(descriptor, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, f"the disk took {written} of {len(line)} bytes", str(self.path))
        finally:
            os.close(descriptor)


def sync_to_disk(path: Path) -> None:
    """Returns when a file's lines, or a folder's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_events(path: Path) -> list[Event]:
    """All events, oldest first; empty where there is no file. Skips lines that a killed process left incomplete."""
    return [stored.event for stored in read_events_after(path, 0)]


def read_events_after(path: Path, offset_bytes: int) -> Iterator[StoredEvent]:
    """The events of the last run whose lines begin at the offset or later. The offset is 0 or some `end_bytes`.

    A metric that was logged before at its step, in the same run, is left out: MLflow would keep both points.
    """
    logged: set[tuple[int, str]] = set()
    parsed = [(_parse(line), end_bytes) for line, end_bytes in _whole_lines(path)]
    for event, end_bytes in parsed[_begin_of_last_run([event for event, _ in parsed]) :]:
        if isinstance(event, Measured):
            event = replace(event, values={k: v for k, v in event.values.items() if (event.step, k) not in logged})
            logged |= {(event.step, name) for name in event.values}
        if event is not None and end_bytes > offset_bytes:
            yield StoredEvent(event=event, end_bytes=end_bytes)


def last_run_key(path: Path) -> str | None:
    """The key of the last run in the file; None where no run has started in it."""
    return next((event.run_key for event in reversed(read_events(path)) if isinstance(event, Started)), None)


def metrics_by_step(path: Path) -> list[dict[str, float]]:
    """One mapping a step, in order of steps: key "epoch" is the step, the others are the metrics. The first value of a
    metric that was logged twice counts; NaN and infinities are returned as they were logged."""
    steps: dict[int, dict[str, float]] = {}
    for event in read_events(path):
        if isinstance(event, Measured):
            steps.setdefault(event.step, {}).update(event.values)
    return [{**steps[step], "epoch": step} for step in sorted(steps)]


def _begin_of_last_run(events: Sequence[Event | None]) -> int:
    """The index of the last run's first event. Events before the first start belong to its run."""
    starts = [(index, event.run_key) for index, event in enumerate(events) if isinstance(event, Started)]
    others = [place for place, (_, key) in enumerate(starts) if key != starts[-1][1]]
    return starts[others[-1] + 1][0] if others else 0


def _ends_whole(descriptor: int) -> bool:
    """Whether the last line has its end. A killed process leaves one without, which then gets its end: cutting it off
    could remove a line that another process is writing."""
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


def _whole_lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """Every whole line, and where it ends in the file."""
    if not path.exists():
        return
    offset_bytes = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset_bytes += len(line)
            yield line, offset_bytes


def _parse(line: bytes) -> Event | None:
    """None for the rest of an incomplete line: no other line fails to be a JSON object."""
    try:
        content = json.loads(line)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    event_class = _CLASSES[content.pop("kind")]
    if event_class is Measured:
        content["values"] = {key: float(value) for key, value in content["values"].items()}
    event: Event = event_class(**content)
    return event


def _to_json(value: float) -> float | str:
    """JSON has neither NaN nor infinity: they become the strings that float() reads."""
    return value if math.isfinite(value) else str(value)
