"""A manifest: one row a file, as somebody wrote it in a spreadsheet, to the files of each take.

Columns `path`, `machine` and `label`; optionally `condition`, `split`, `channel` with `take` where every microphone
has its own file, `sample_rate_hz`, which is held against the file's header, and `events`, the name of a table of the
events in that file (core/sources/labelled_events.py), usually one table for all. Other columns are ignored. Every
mistake names its row, the header being row 1.
"""

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from core.data.recordings import Label
from core.errors import UserError
from core.sources.audio_files import StatedRate, TakeFiles, is_within
from core.sources.folders import file_names
from core.sources.labelled_events import LabelledEvent, read_events
from core.sources.tables import read_table

REQUIRED_COLUMNS = ("path", "machine", "label")
RATE_COLUMNS = ("sample_rate_hz", "sample_rate", "sample rate")
LABELS: Mapping[str, Label] = {**file_names.LABELS, "unknown": "unknown"}
SPLITS: Mapping[str, Literal["train", "validation", "test"]] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the manifest, checked by itself."""

    where: str
    """For messages: the manifest's name and the row's number."""
    name: str
    machine: str
    label: Label
    condition: str
    channel: str
    take: str
    split: Literal["train", "validation", "test"] | None
    sample_rate_hz: int | None
    events: str
    """The name of the table of its events; empty where there is none."""


Events = Mapping[str, tuple[LabelledEvent, ...]]
"""By the name of the file they are heard in."""


def read_manifest(path: Path) -> tuple[TakeFiles, ...]:
    """The takes in the order of their first rows. Raises UserError, naming the row, for everything that is wrong."""
    root = Path(os.path.realpath(path.parent))
    rows = [_row(row.cells, row.where, root) for row in read_table(path, REQUIRED_COLUMNS)]
    if not rows:
        raise UserError(f"{path.name} must list at least one recording, but got none. Add a row for each file.")
    _check_no_duplicates(rows, root)
    takes = _group(rows)
    _check_same_channels(takes)
    events = _read_events(rows, root)
    return tuple(_take_files(take, root, events) for take in takes)


def _row(cells: Mapping[str, str], where: str, root: Path) -> Row:
    label, split = cells["label"].lower(), cells.get("split", "").lower()
    if label not in LABELS:
        raise UserError(f"{where}: label must be one of {', '.join(LABELS)}, but got {cells['label']!r}. Correct it.")
    if split and split not in SPLITS:
        raise UserError(f"{where}: split must be train, validation or test, but got {cells['split']!r}. Correct it.")
    if not cells["machine"]:
        raise UserError(f"{where}: machine must be a name, but got nothing. Name the machine that is heard.")
    return Row(
        where=where,
        name=_checked_name(cells["path"], where, root),
        machine=cells["machine"],
        label=LABELS[label],
        condition="normal" if LABELS[label] == "normal" else cells.get("condition", ""),
        channel=cells.get("channel", ""),
        take=cells.get("take", ""),
        split=SPLITS[split] if split else None,
        sample_rate_hz=_stated_rate(cells, where),
        events=_checked_name(cells["events"], where, root, "events") if cells.get("events") else "",
    )


def _stated_rate(cells: Mapping[str, str], where: str) -> int | None:
    text = next((cells[column] for column in RATE_COLUMNS if cells.get(column)), "")
    if text and not re.fullmatch(r"0*[1-9][0-9]*(\.0*)?", text):
        raise UserError(f"{where}: the sample rate must be a whole number of Hz, but got {text!r}. Correct it.")
    return int(float(text)) if text else None


def _checked_name(text: str, where: str, root: Path, column: str = "path") -> str:
    """The path below `root`, POSIX style. Somebody else's manifest must not reach for files outside its folder."""
    path = PurePosixPath(text)
    outside = path.is_absolute() or PureWindowsPath(text).drive or ".." in path.parts
    if outside or not is_within(root / path, root):
        raise UserError(
            f"{where}: {column} must stay within the manifest's folder, but got {text!r}. "
            "Put the file below the manifest and write its path from there."
        )
    if not (root / path).is_file():
        raise UserError(f"{where}: {column} must name a file, but got {text!r}, which does not exist. Correct it.")
    return path.as_posix()


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


def _group(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of one take together, by channel. A row without a take is a take of its own."""
    _check_channels_have_takes(rows)
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        key = (row.machine, row.label, row.condition, row.take) if row.take else (row.name,)
        groups[key].append(row)
    takes = [sorted(group, key=lambda row: _natural(row.channel)) for group in groups.values()]
    for take in takes:
        _check_take(take)
    return takes


def _check_channels_have_takes(rows: Sequence[Row]) -> None:
    """Without it, microphones of one take would count as recordings of their own, and land in different splits."""
    alone = [row for row in rows if row.channel and not row.take]
    if len({row.channel for row in alone}) > 1:
        raise UserError(
            f"{alone[0].where}: take must be filled where channel is, but got nothing beside channel "
            f"{alone[0].channel!r}. Say which files were recorded together, or remove the column channel."
        )


def _check_take(take: Sequence[Row]) -> None:
    first = take[0]
    for previous, row in pairwise(take):
        if row.channel == previous.channel:
            raise UserError(
                f"{row.where}: take {row.take!r} of machine {row.machine!r} must have one file a channel, "
                f"but got channel {row.channel!r} again after {previous.where}. "
                "Give each file of the take its own channel, or each take its own name."
            )
        if row.split != first.split:
            raise UserError(
                f"{row.where}: all channels of a take must be in one split, but got {row.split} after "
                f"{first.split} in {first.where}. Correct one of them."
            )


def _check_same_channels(takes: Sequence[Sequence[Row]]) -> None:
    """The second channel must be the same microphone in every take."""
    grouped = [take for take in takes if take[0].take and take[0].channel]
    if not grouped:
        return
    expected = [row.channel for row in grouped[0]]
    for take in grouped:
        found = [row.channel for row in take]
        if found != expected:
            raise UserError(
                f"{take[0].where}: take {take[0].take!r} must have channels {', '.join(expected)} as take "
                f"{grouped[0][0].take!r} has, but got {', '.join(found)}. List the missing files, or drop the take."
            )


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key by which `ch10` comes after `ch9`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _read_events(rows: Sequence[Row], root: Path) -> Events:
    """All events of all tables that the rows name. One that belongs to no row, or to a normal one, is a mistake."""
    by_name = {row.name: row for row in rows}
    events: dict[str, tuple[LabelledEvent, ...]] = {}
    for table in sorted({row.events for row in rows if row.events}):
        for name, of_file in read_events(root / table).items():
            _check_owner(by_name.get(name), name, of_file[0], table)
            events[name] = of_file
    return events


def _check_owner(row: Row | None, name: str, event: LabelledEvent, table: str) -> None:
    if row is None:
        raise UserError(
            f"{event.where}: path must be one that the manifest lists, but got {name!r}. "
            "Write it as the manifest does, or remove the row."
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


def _events_of(take: Sequence[Row], events: Events) -> tuple[LabelledEvent, ...] | None:
    """Those of all files of a take; None where no table is named."""
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
