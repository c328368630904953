"""Where in a recording the fault is heard: a table with the columns `path`, `start_s`, `end_s`, one row an event.

Paths are those of the manifest that names the table. Seconds count from the recording's beginning.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.errors import UserError
from core.sources.tables import TableRow, read_table

COLUMNS = ("path", "start_s", "end_s")
END_SLACK_S = 0.01
"""So far an end may lie beyond the recording's: people round."""


@dataclass(frozen=True, kw_only=True)
class LabelledEvent:
    """One row, checked by itself."""

    where: str
    """For messages: the table's name and the row's number."""
    start_s: float
    end_s: float


def read_events(path: Path) -> dict[str, tuple[LabelledEvent, ...]]:
    """Events by the path of the file they are heard in. Raises UserError, naming the row, for what is no event."""
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
    text = row.cells[column]
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise UserError(f"{row.where}: {column} must be a number of seconds, 0 or more, but got {text!r}. Correct it.")
    return seconds


def merge_events(events: Sequence[LabelledEvent], *, name: str, seconds: float) -> tuple[tuple[float, float], ...]:
    """Starts and ends in order, what overlaps or touches made one; `seconds` is how long recording `name` lasts.

    Raises UserError, naming file and row, for an event that ends more than END_SLACK_S after the recording.
    """
    merged: list[tuple[float, float]] = []
    for event in sorted(events, key=lambda event: (event.start_s, event.end_s)):
        if event.end_s > seconds + END_SLACK_S or event.start_s >= seconds:
            raise UserError(
                f"{event.where}: an event must lie within {name!r}, which lasts {seconds:.3f} s, but got "
                f"{event.start_s:g} to {event.end_s:g}. Correct it, or give the whole recording."
            )
        start_s, end_s = event.start_s, min(event.end_s, seconds)
        if merged and start_s <= merged[-1][1]:
            start_s, end_s = merged[-1][0], max(merged.pop()[1], end_s)
        merged.append((start_s, end_s))
    return tuple(merged)
