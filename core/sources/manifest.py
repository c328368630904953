"""A manifest: one row a file, as somebody wrote it in a spreadsheet, to the files of each take.

Columns `path`, `machine` and `label`; optionally `condition`, `split`, and `channel` with `take` where every
microphone has its own file. Other columns are ignored. Every mistake names its row, the header being row 1.
"""

import os
import re
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

import pandas as pd

from core.errors import UserError
from core.recordings import Label
from core.sources.audio_files import TakeFiles, is_within

REQUIRED_COLUMNS = ("path", "machine", "label")
LABELS: Mapping[str, Label] = {
    "normal": "normal",
    "anomalous": "anomalous",
    "abnormal": "anomalous",
    "anomaly": "anomalous",
    "faulty": "anomalous",
    "unknown": "unknown",
}
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


def read_manifest(path: Path) -> tuple[TakeFiles, ...]:
    """The takes in the order of their first rows. Raises UserError, naming the row, for everything that is wrong."""
    table = _read_table(path)
    root = Path(os.path.realpath(path.parent))
    rows = [
        _row({str(column): str(cell) for column, cell in cells.items()}, f"{path.name} row {index + 2}", root)
        for index, cells in enumerate(table.to_dict("records"))
        if any(cells.values())
    ]
    if not rows:
        raise UserError(f"{path.name} must list at least one recording, but got none. Add a row for each file.")
    _check_no_duplicates(rows, root)
    takes = _group(rows)
    _check_same_channels(takes)
    return tuple(_take_files(take, root) for take in takes)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # pandas drops cells beyond the header and warns
            table = pd.read_csv(
                path, dtype=str, keep_default_na=False, skip_blank_lines=False, index_col=False, encoding="utf-8-sig"
            )
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{path.name} must have a header, but got an empty file. {_header_repair()}") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError, OSError) as error:
        problem = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"{path.name} must be a comma-separated table in UTF-8, but got: {problem}.") from error
    table = table.fillna("").map(str.strip)
    table.columns = [str(column).strip().lower() for column in table.columns]
    for column in REQUIRED_COLUMNS:
        if column not in table.columns:
            raise UserError(
                f"{path.name} must have a column {column!r}, but got {', '.join(table.columns)}. {_header_repair()}"
            )
    return table


def _header_repair() -> str:
    return f"Begin it with the line {','.join(REQUIRED_COLUMNS)}."


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
    )


def _checked_name(text: str, where: str, root: Path) -> str:
    """The path below `root`, POSIX style. Somebody else's manifest must not reach for files outside its folder."""
    path = PurePosixPath(text)
    outside = path.is_absolute() or PureWindowsPath(text).drive or ".." in path.parts
    if outside or not is_within(root / path, root):
        raise UserError(
            f"{where}: path must stay within the manifest's folder, but got {text!r}. "
            "Put the file below the manifest and write its path from there."
        )
    if not (root / path).is_file():
        raise UserError(f"{where}: path must name a file, but got {text!r}, which does not exist. Correct it.")
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


def _take_files(take: Sequence[Row], root: Path) -> TakeFiles:
    first = take[0]
    return TakeFiles(
        root=root,
        names=tuple(row.name for row in take),
        machine=first.machine,
        label=first.label,
        condition=first.condition,
        split=first.split,
    )
