"""Manifests: a table with one row a file, written in a spreadsheet (core/sources/tables.py), to the files of each take.

| column            | content                                                                              |
| ----------------- | ------------------------------------------------------------------------------------ |
| path              | relative to the manifest's folder                                                    |
| machine           | which machine is recorded                                                            |
| label             | normal, anomalous or unknown, or another word of core/sources/folders/labels.py      |
| condition         | optional: which fault                                                                |
| split             | optional: train, validation or test                                                  |
| channel, take     | optional: which microphone of which take, where every microphone has its own file    |
| sample_rate_hz    | optional: is compared with the file's header                                         |
| events            | optional: the name of a table of events in this file, usually one table for all rows |

Other columns are ignored. Every error names its row; the header is row 1.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from core.errors import UserError
from core.sources.folders.manifest_rows import Row, mistyped_columns, read_rows, spelled_as_on_disk
from core.sources.folders.manifest_takes import takes_of
from core.sources.labelled_events import LabelledEvent, read_events
from core.sources.take_files import StatedRate, TakeFiles

MANIFEST = "manifest.csv"
Events = Mapping[str, tuple[LabelledEvent, ...]]
"""By the name of their file."""


def read_manifest(path: Path) -> tuple[TakeFiles, ...]:
    """The takes in the order of their first rows. Raises UserError, naming the row, for a row that breaks a rule."""
    root = Path(os.path.realpath(path.parent))
    rows = read_rows(path, root)
    if not rows:
        raise UserError(f"{path.name} must list at least one recording, but got none. Add a row for each file.")
    _check_no_duplicates(rows, root)
    takes = _takes_of(rows, path)
    events = _read_events(rows, root)
    return tuple(_take_files(take, root, events) for take in takes)


def _takes_of(rows: Sequence[Row], path: Path) -> list[list[Row]]:
    """As manifest_takes does. An error also names columns that are mistyped, since one may be its reason."""
    try:
        return takes_of(rows)
    except UserError as error:
        mistyped = mistyped_columns(path).items()
        hints = [f"The column {column!r} is ignored: did you mean {meant!r}?" for column, meant in mistyped]
        raise UserError(" ".join([str(error), *hints])) from error


def _check_no_duplicates(rows: Sequence[Row], root: Path) -> None:
    first: dict[str, str] = {}
    for row in rows:
        real_path = os.path.realpath(root / row.name)
        if real_path in first:
            raise UserError(
                f"{row.where}: path must be listed once, but got {row.name!r}, the file of {first[real_path]}. "
                "Remove one of the rows."
            )
        first[real_path] = row.where


def _read_events(rows: Sequence[Row], root: Path) -> Events:
    """All events of all tables that the rows name. UserError for an event of no row, or of a normal one."""
    by_name = {row.name: row for row in rows}
    events: dict[str, tuple[LabelledEvent, ...]] = {}
    for table in sorted({row.events for row in rows if row.events}):
        for name, of_file in read_events(root / table).items():
            of_name = by_name.get(PurePosixPath(spelled_as_on_disk(name, root)).as_posix())
            row = _checked_owner(of_name, name, of_file[0], table)
            events[row.name] = (*events.get(row.name, ()), *of_file)
    return events


def _checked_owner(row: Row | None, name: str, event: LabelledEvent, table: str) -> Row:
    if row is None:
        raise UserError(
            f"{event.where}: path must be one that the manifest lists, but got {name!r}. "
            "Write it as in the manifest, or remove the row."
        )
    if row.events != table:
        raise UserError(
            f"{event.where}: the file must name {table!r} in the column events of the manifest, but got "
            f"{row.events!r} for {name!r} in {row.where}. Fill it in there, or remove the event."
        )
    if row.label == "normal":
        raise UserError(
            f"{event.where}: events must be of anomalous recordings, but got {name!r}, which is normal in "
            f"{row.where}. Correct the label, or remove the event."
        )
    return row


def _events_of(take: Sequence[Row], events: Events) -> tuple[LabelledEvent, ...] | None:
    """The events of all files of a take; None if no table is named."""
    named = [row for row in take if row.events]
    if not named:
        return None
    found = tuple(event for row in take for event in events.get(row.name, ()))
    if not found and named[0].label == "anomalous":
        raise UserError(
            f"{named[0].where}: an anomalous recording must have an event in {named[0].events!r}, but got none for "
            f"{named[0].name!r}. Add a row for each event, or empty the column events."
        )
    return found


def _take_files(take: Sequence[Row], root: Path, events: Events) -> TakeFiles:
    first = take[0]
    return TakeFiles(
        root=root,
        names=tuple(row.name for row in take),
        machine=first.machine,
        label=first.label,
        condition=first.condition,
        split=first.split,
        events=_events_of(take, events),
        stated_rates=tuple(
            StatedRate(where=row.where, sample_rate_hz=row.sample_rate_hz) for row in take if row.sample_rate_hz
        ),
    )
