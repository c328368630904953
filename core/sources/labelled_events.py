"""Labelled events: a table with the columns `path`, `start_s` and `end_s` that says when a fault is heard.

Each row is one event. Paths are written as in the manifest that names the table. Seconds count from the start of the
recording.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.errors import UserError
from core.sources.tables import TableRow, read_table

COLUMNS = ("path", "start_s", "end_s")
END_SLACK_S = 0.01
"""An event may end this much after its recording, because people round."""


@dataclass(frozen=True, kw_only=True)
class LabelledEvent:
    """One row, checked on its own."""

    where: str
    """The table's name and the row's number, for messages."""
    start_s: float
    end_s: float


def read_events(path: Path) -> dict[str, tuple[LabelledEvent, ...]]:
    """Events by the path of their file. Raises UserError, naming the row, for a row that is no event."""
    events: dict[str, list[LabelledEvent]] = defaultdict(list)
    for row in read_table(path, COLUMNS):
        events[PurePosixPath(row.cells["path"]).as_posix()].append(_event(row))
    return {name: tuple(of_file) for name, of_file in events.items()}


def _event(row: TableRow) -> LabelledEvent:
    start_s, end_s = (_seconds(row, column) for column in ("start_s", "end_s"))
    if start_s >= end_s:
        raise UserError(
            f"{row.where}: start_s must be below end_s, but got {start_s:g} and {end_s:g}. Correct one of them."
        )
    return LabelledEvent(where=row.where, start_s=start_s, end_s=end_s)


def _seconds(row: TableRow, column: str) -> float:
    seconds = row.number(column)
    if not seconds >= 0:
        text = row.cells[column]
        raise UserError(f"{row.where}: {column} must be a number of seconds, 0 or more, but got {text!r}. Correct it.")
    return seconds


def merge_events(events: Sequence[LabelledEvent], *, name: str, seconds: float) -> tuple[tuple[float, float], ...]:
    """Sorted (start, end) pairs; events that overlap or touch are merged. `seconds` is the length of recording `name`.

    Raises UserError, naming file and row, for an event that ends more than END_SLACK_S after the recording.
    """
    merged: list[tuple[float, float]] = []
    for event in sorted(events, key=lambda event: (event.start_s, event.end_s)):
        if event.end_s > seconds + END_SLACK_S or event.start_s >= seconds:
            raise UserError(
                f"{event.where}: an event must lie within {name!r}, which lasts {seconds:.3f} s, but got "
                f"{event.start_s:g} to {event.end_s:g}. Correct the times, or use the uncut recording."
            )
        start_s, end_s = event.start_s, min(event.end_s, seconds)
        if merged and start_s <= merged[-1][1]:
            start_s, end_s = merged[-1][0], max(merged.pop()[1], end_s)
        merged.append((start_s, end_s))
    return tuple(merged)
