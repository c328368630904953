"""Tables from spreadsheets, in the forms in which Excel and other programs write CSV.

| what    | accepted                                                                                     |
| ------- | -------------------------------------------------------------------------------------------- |
| columns | separated by commas, semicolons or tabs; a first line `sep=;`, which Excel knows, is skipped |
| text    | UTF-8 and UTF-16, with or without a byte order mark, else Windows' cp1252                    |
| numbers | with a decimal point; also with a decimal comma where commas do not separate the columns     |

The separator is the one by which the header has the most of the required columns. Rows are numbered as a spreadsheet
numbers them: the header is row 1, and empty rows count.
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?[ \t]*(?:\r\n?|\n)", re.IGNORECASE)
_ZIP_MARK = b"PK\x03\x04"
MAX_HEADER_CHARACTERS = 2**16
MAX_PRINTED_CHARACTERS = 120
"""A header in a message is cut to this length."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One row that is not empty."""

    where: str
    """The table's name and the row's number, for messages."""
    cells: dict[str, str]
    """By column in lower case, stripped; an empty cell is an empty string."""
    has_decimal_comma: bool
    """Whether a comma in a number is a decimal comma."""

    def number(self, column: str) -> float:
        """The cell as a finite number; NaN where it is none."""
        text = self.cells[column]
        if self.has_decimal_comma and re.fullmatch(r"[+-]?\d*,\d+", text):
            text = text.replace(",", ".")
        try:
            number = float(text)
        except ValueError:
            return math.nan
        return number if math.isfinite(number) else math.nan


def read_table(path: Path, required_columns: Sequence[str]) -> tuple[TableRow, ...]:
    """All rows, with the required columns and any others.

    Raises UserError, naming the file and the row, for what is no such table.
    """
    text, separator = _without_separator_line(_decoded(path))
    separator = separator or _separator_of(text, required_columns)
    rows = _rows(text, separator, path.name)
    header = _header(next(rows, []), required_columns, path.name)
    table = []
    for number, cells in enumerate(rows, start=2):
        where = f"{path.name} row {number}"
        _check_width(cells, header, where, separator)
        padded = [*cells, *[""] * (len(header) - len(cells))]
        if any(padded):
            # Reversed, so that of two columns with one name the first counts.
            by_column = dict(reversed(list(zip(header, padded, strict=False))))
            table.append(TableRow(where=where, cells=by_column, has_decimal_comma=separator != ","))
    return tuple(table)


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path.name} must be readable, but got {error.strerror!r}. Change its permissions.") from error
    if content.startswith(_ZIP_MARK):
        raise UserError(f"{path.name} must be text, but got an Excel workbook. Save it as CSV in Excel.")
    encoding = _encoding_of(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path.name} must be text in UTF-8, UTF-16 or cp1252, but got bytes in line {row} that are none of them. "
            "Save it again as CSV in UTF-8."
        ) from error


def _encoding_of(content: bytes) -> str:
    """By the byte order mark; without one, UTF-16 shows by the zeros in every second byte of ASCII characters."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    start = content[:1000]
    if 2 * start[1::2].count(0) > len(start[1::2]):
        return "utf-16-le"
    if 2 * start[::2].count(0) > len(start[::2]):
        return "utf-16-be"
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _without_separator_line(text: str) -> tuple[str, str]:
    """The table, and the separator that its first line states; empty where it states none."""
    match = _SEPARATOR_LINE.match(text)
    return (text[match.end() :], match[1]) if match else (text, "")


def _separator_of(text: str, required_columns: Sequence[str]) -> str:
    """The one with the most required columns, and of those the one with the most columns; a comma at a tie."""

    def fit(separator: str) -> tuple[int, int]:
        first_row = next(csv.reader(io.StringIO(text[:MAX_HEADER_CHARACTERS], newline=""), delimiter=separator), [])
        columns = _names(first_row)
        return len(set(columns) & set(required_columns)), len(columns)

    return max(SEPARATORS, key=fit)


def _rows(text: str, separator: str, file_name: str) -> Iterator[list[str]]:
    """Every row, stripped. Raises UserError for a quote that is not closed."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise UserError(
                f"{file_name} row {number} must be cells with matching quotes, but got: {error}. "
                "Correct the quotes in it, or in the rows before."
            ) from error
        if cells is None:
            return
        yield [cell.strip() for cell in cells]


def _names(cells: Sequence[str]) -> list[str]:
    return [cell.strip().lower() for cell in cells]


def _header(cells: Sequence[str], required_columns: Sequence[str], file_name: str) -> list[str]:
    repair = f"Begin it with the line {','.join(required_columns)}."
    header = _names(cells)
    if not any(header):
        raise UserError(f"{file_name} must have a header, but got none in row 1. {repair}")
    for column in required_columns:
        if column not in header:
            found = ", ".join(name for name in header if name)
            found = found if found.isprintable() else repr(found)
            raise UserError(
                f"{file_name} row 1 must have a column {column!r}, but got {found[:MAX_PRINTED_CHARACTERS]}. {repair}"
            )
        if header.count(column) > 1:
            raise UserError(
                f"{file_name} row 1 must have each column once, but got {column!r} twice. Remove or rename one of them."
            )
    return header


def _check_width(cells: Sequence[str], header: Sequence[str], where: str, separator: str) -> None:
    """Empty cells beyond the header do no harm."""
    beyond = next((cell for cell in cells[len(header) :] if cell), "")
    if beyond:
        kind = SEPARATORS.get(separator, repr(separator))
        raise UserError(
            f"{where} must have at most {len(header)} cells, as the header has, but got {beyond!r} after them. "
            f"Quote cells that hold a {kind}, or name the column."
        )
