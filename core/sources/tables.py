"""Comma-separated tables that somebody wrote in a spreadsheet: a header, and rows that messages can name."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One line that is not empty."""

    where: str
    """For messages: the table's name and the row's number, the header being row 1."""
    cells: dict[str, str]
    """By column in lower case, stripped; empty where nothing stands."""


def read_table(path: Path, required_columns: Sequence[str]) -> tuple[TableRow, ...]:
    """Other columns than the required ones are there too. Raises UserError for what is no such table."""
    table = _read_csv(path, required_columns)
    rows = [{str(column): str(cell) for column, cell in cells.items()} for cells in table.to_dict("records")]
    return tuple(
        TableRow(where=f"{path.name} row {index + 2}", cells=cells)
        for index, cells in enumerate(rows)
        if any(cells.values())
    )


def _read_csv(path: Path, required_columns: Sequence[str]) -> pd.DataFrame:
    header_repair = f"Begin it with the line {','.join(required_columns)}."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # pandas drops cells beyond the header and warns
            table = pd.read_csv(
                path, dtype=str, keep_default_na=False, skip_blank_lines=False, index_col=False, encoding="utf-8-sig"
            )
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{path.name} must have a header, but got an empty file. {header_repair}") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError, OSError) as error:
        problem = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"{path.name} must be a comma-separated table in UTF-8, but got: {problem}.") from error
    table = table.fillna("").map(str.strip)
    table.columns = [str(column).strip().lower() for column in table.columns]
    for column in required_columns:
        if column not in table.columns:
            raise UserError(
                f"{path.name} must have a column {column!r}, but got {', '.join(table.columns)}. {header_repair}"
            )
    return table
