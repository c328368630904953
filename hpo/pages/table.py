"""A table as data; `macros.html.jinja` makes HTML from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpo.pages.formatting import is_missing, number_text


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    is_number: bool = True
    is_test: bool = False
    """Marked as never used for choosing."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The content of one place in a table."""

    text: str
    sort: str = ""
    """What a sortable table sorts by; "" comes last."""
    quiet: str = ""
    """Shown in grey before the text."""
    tags: tuple[str, ...] = ()
    """Labels after the text."""
    is_test: bool = False
    """Has the mark of test figures before the text."""
    link: str = ""
    """A path relative to the page."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Cells in the order of the columns."""

    cells: Sequence[Cell]
    css: str = ""
    """Class of the row: `winner`, `test`, `group`, or a trial's state."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns and rows. A sortable table must come sorted by its first column."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    is_sortable: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row.cells) == len(self.columns), (len(row.cells), len(self.columns))

    @property
    def has_head(self) -> bool:
        return any(column.title for column in self.columns)


def number_cell(value: Any, *, decimals: int | None = None) -> Cell:
    # JavaScript reads "Infinity" as a number, but not Python's "inf".
    sort = "" if is_missing(value) else str(value).replace("inf", "Infinity")
    return Cell(text=number_text(value, decimals=decimals), sort=sort)


def text_cell(text: object) -> Cell:
    return Cell(text=str(text), sort=str(text))


def split_cell(split: str, label: str = "") -> Cell:
    """Names a split and what follows; the test split is named by its mark."""
    text = label if split == "test" else f"{split} {label}".strip()
    return Cell(text=text, sort=split, is_test=split == "test")


def figure_cell(figures: Any, key: str) -> Cell:
    """A metric of a split in result.json, with its interval where it has one."""
    interval = figures.get(f"{key}_interval")
    quiet = "" if not interval else f"({number_text(interval[0], 3)} to {number_text(interval[1], 3)})"
    return Cell(text=number_text(figures.get(key), decimals=3), quiet=quiet)
