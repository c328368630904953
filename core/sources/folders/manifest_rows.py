"""The rows of a manifest, each read and checked on its own. For the columns see manifest.py."""

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from core.data.recordings import Label
from core.errors import UserError
from core.sources.folders.labels import EXAMPLES, label_of_word
from core.sources.tables import TableRow, read_table
from core.sources.walk import is_within

REQUIRED_COLUMNS = ("path", "machine", "label")
RATE_COLUMNS = ("sample_rate_hz", "sample_rate", "sample rate")
OPTIONAL_COLUMNS = ("condition", "split", "take", "channel", "events", *RATE_COLUMNS)
OF_ITS_OWN = ("channels",)
"""How many there are in a file, as a rule, and not `channel`."""
ALMOST = 0.8
"""By `difflib`: how like a column's name is one that was mistyped."""
SPLITS: Mapping[str, Literal["train", "validation", "test"]] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the manifest, checked on its own."""

    where: str
    """The manifest's name and the row's number, for messages."""
    name: str
    """Of the file, as it is spelled on disk."""
    machine: str
    label: Label
    condition: str
    channel: str
    take: str
    split: Literal["train", "validation", "test"] | None
    sample_rate_hz: int | None
    events: str
    """The name of the table of its events, or an empty string."""


def read_rows(path: Path, root: Path) -> list[Row]:
    """All rows of a manifest. Raises UserError, naming the row, for a row that breaks a rule by itself."""
    return [_row(row, root) for row in read_table(path, REQUIRED_COLUMNS)]


def mistyped_columns(path: Path) -> dict[str, str]:
    """Columns that are ignored and are almost an optional one that the manifest lacks, with what was probably meant."""
    rows = read_table(path, REQUIRED_COLUMNS)
    columns = set(rows[0].cells) if rows else set()
    lacking = [column for column in OPTIONAL_COLUMNS if column not in columns]
    others = sorted(columns - {*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS, *OF_ITS_OWN})
    near = {column: get_close_matches(column, lacking, n=1, cutoff=ALMOST) for column in others}
    return {column: found[0] for column, found in near.items() if found}


def _row(row: TableRow, root: Path) -> Row:
    cells, where = row.cells, row.where
    label, split = _label(cells["label"], where), cells.get("split", "").lower()
    if split and split not in SPLITS:
        raise UserError(f"{where}: split must be train, validation or test, but got {cells['split']!r}. Correct it.")
    if not cells["machine"]:
        raise UserError(f"{where}: machine must be a name, but got nothing. Name the machine that is heard.")
    return Row(
        where=where,
        name=_checked_name(cells["path"], where, root),
        machine=cells["machine"],
        label=label,
        condition="normal" if label == "normal" else cells.get("condition", ""),
        channel=cells.get("channel", ""),
        take=cells.get("take", ""),
        split=SPLITS[split] if split else None,
        sample_rate_hz=_stated_rate(row),
        events=_checked_name(cells["events"], where, root, "events") if cells.get("events") else "",
    )


def _label(text: str, where: str) -> Label:
    if text.lower() == "unknown":
        return "unknown"
    label = label_of_word(text)
    if label is None:
        raise UserError(f"{where}: label must be unknown, or a word such as {EXAMPLES}, but got {text!r}. Correct it.")
    return label


def _stated_rate(row: TableRow) -> int | None:
    column = next((column for column in RATE_COLUMNS if row.cells.get(column)), None)
    if column is None:
        return None
    rate = row.number(column)
    if not (rate >= 1 and rate.is_integer()):
        raise UserError(
            f"{row.where}: {column} must be a whole number of Hz, but got {row.cells[column]!r}. Correct it."
        )
    return int(rate)


def _checked_name(text: str, where: str, root: Path, column: str = "path") -> str:
    """The path below `root`, POSIX style. UserError for a file that is missing or lies outside `root`.

    The latter protects against a stranger's manifest that reads other files.
    """
    path = PurePosixPath(spelled_as_on_disk(text, root))
    outside = path.is_absolute() or PureWindowsPath(text).drive or ".." in path.parts
    if outside or not is_within(root / path, root):
        raise UserError(
            f"{where}: {column} must stay within the manifest's folder, but got {text!r}. "
            "Put the file below the manifest and write its path from there."
        )
    if not os.path.isfile(root / path):
        raise UserError(f"{where}: {column} must name a file, but got {text!r}, which does not exist. Correct it.")
    return path.as_posix()


def spelled_as_on_disk(text: str, root: Path) -> str:
    """A path in the spelling of the disk, if the file exists in one of the spellings that programs mix up.

    Windows writes backslashes, and macOS stores umlauts as two characters.
    """
    slashed = text.replace("\\", "/")
    spellings = (text, *(unicodedata.normalize(form, each) for each in (text, slashed) for form in ("NFC", "NFD")))
    return next((each for each in spellings if os.path.isfile(root / each)), text)
