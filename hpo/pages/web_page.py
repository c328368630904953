"""A self-contained HTML page: style, tables that sort, plotly.js once, and no way to the network.

Arguments called `text` are escaped here; arguments called `html` are put in as they are.
"""

import html as html_library
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plotly.offline import get_plotlyjs

DASH = "–"
"""Stands for a figure that does not exist: missing, or NaN."""
TEST_MARK = '<span class="testmark" title="Never used for choosing">test</span>'
TEST_NOTE = f"{TEST_MARK} Figures with this mark were never used for choosing: not the epoch, not the winner."

# No address is allowed as a source of anything, so a page that wants the network shows its fault at once.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f6f7; color: #22272b; font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 6px; }
h3 { font-size: 15px; margin: 18px 0 4px; }
p { margin: 6px 0; max-width: 110ch; }
section { background: #fff; border: 1px solid #e1e4e8; border-radius: 8px; padding: 18px 20px; margin: 18px 0; }
.kicker { color: #5b6570; margin: 0 0 4px; }
.headline { font-size: 19px; line-height: 1.45; margin: 10px 0; max-width: 74ch; }
.quiet { color: #5b6570; }
.prose { white-space: pre-line; }
.notice { border-left: 4px solid #0072b2; background: #eef5fa; padding: 8px 12px; margin: 10px 0; max-width: none; }
.notice.warning { border-color: #e69f00; background: #fdf5e3; }
.testmark { display: inline-block; border: 1px dashed #a14d7f; color: #8a3a69; background: #fbf1f7; border-radius: 4px;
  padding: 0 5px; font-size: 12px; line-height: 17px; font-weight: 600; }
.tag { display: inline-block; border-radius: 4px; padding: 0 5px; font-size: 12px; line-height: 17px;
  background: #e8ebee; color: #39424a; }
.tag.winner { background: #d55e00; color: #fff; }
.scroll, .figure { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13.5px; margin: 8px 0; }
th, td { padding: 4px 8px; text-align: left; border-bottom: 1px solid #eceef0; vertical-align: top; }
thead th { border-bottom: 2px solid #cfd5da; vertical-align: bottom; font-weight: 600; }
tbody th { font-weight: 500; }
th.number, td.number { text-align: right; }
td.number { white-space: nowrap; }
td.test, tr.test td { background: #fcf6fa; }
tr.group td { font-weight: 600; padding-top: 12px; }
tr.winner td { background: #fdeee2; font-weight: 600; }
tr.pruned td, tr.failed td { color: #6b7680; }
table.sortable th { position: relative; }
table.sortable th button { all: unset; cursor: pointer; }
table.sortable th button:hover { text-decoration: underline; }
table.sortable th button:focus-visible { outline: 2px solid #0072b2; outline-offset: 2px; border-radius: 2px; }
th[aria-sort] { background: #eef5fa; }
th[aria-sort] button::after { position: absolute; right: 0; bottom: 5px; font-size: 8px; color: #0072b2; }
th[aria-sort=ascending] button::after { content: "\\25B2"; }
th[aria-sort=descending] button::after { content: "\\25BC"; }
.columns { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 20px; }
.columns { margin: 18px 0; }
.columns > * { min-width: 0; margin: 0; }
@media (max-width: 900px) { .columns { grid-template-columns: minmax(0, 1fr); } }
"""

SORT_SCRIPT = """
document.querySelectorAll("table.sortable th button").forEach((button) => button.addEventListener("click", () => {
  const header = button.closest("th"), body = header.closest("table").tBodies[0];
  const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  header.parentElement.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
  const key = (row) => row.cells[header.cellIndex].dataset.sort;
  // Numbers come before text, or a column that holds both would have no order.
  const compare = (a, b) => isNaN(a) && isNaN(b) ? a.localeCompare(b) : isNaN(a) - isNaN(b) || Number(a) - Number(b);
  // What is missing goes last in both directions.
  const order = (a, b) => a === "" || b === "" ? (a === "") - (b === "") : sign * compare(a, b);
  [...body.rows].sort((a, b) => order(key(a), key(b))).forEach((row) => body.append(row));
}));
"""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    is_number: bool = True
    is_test: bool = False
    """Marked as never used for choosing."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a table shows in one place, and what it sorts by there ("" goes last)."""

    html: str
    sort: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Cells in the order of the columns."""

    cells: Sequence[Cell]
    css: str = ""


def escaped(text: object) -> str:
    return html_library.escape(str(text), quote=True)


def is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def number_text(value: Any, *, decimals: int | None = None) -> str:
    """A figure for people: four significant digits, or fixed decimals; a dash for None and NaN, ∞ for infinity."""
    if is_missing(value):
        return DASH
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if decimals is not None:
        return f"{value:.{decimals}f}"
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.4g}"


def duration_text(seconds: float | None) -> str:
    if is_missing(seconds):
        return DASH
    assert seconds is not None
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def number_cell(value: Any, *, decimals: int | None = None) -> Cell:
    # JavaScript reads "Infinity" as a number, but not Python's "inf".
    sort = "" if is_missing(value) else str(value).replace("inf", "Infinity")
    return Cell(html=escaped(number_text(value, decimals=decimals)), sort=sort)


def text_cell(text: object) -> Cell:
    return Cell(html=escaped(text), sort=str(text))


def table(columns: Sequence[Column], rows: Sequence[Row], *, is_sortable: bool = False) -> str:
    """Without any title in its columns, a table without a head. Rows to be sorted are sorted by the first."""
    head = "".join(
        _header(column, is_sortable=is_sortable, is_sorted=is_sortable and column is columns[0]) for column in columns
    )
    if not any(column.title for column in columns):
        head = ""
    body = "\n".join(_row(columns, row) for row in rows)
    css = ' class="sortable"' if is_sortable else ""
    thead = f"<thead><tr>{head}</tr></thead>\n" if head else ""
    return f'<div class="scroll"><table{css}>{thead}<tbody>\n{body}\n</tbody></table></div>'


def _header(column: Column, *, is_sortable: bool, is_sorted: bool) -> str:
    # Long names may break at their underscores.
    title = escaped(column.title).replace("_", "_<wbr>") + (f" {TEST_MARK}" if column.is_test else "")
    inside = f'<button type="button">{title}</button>' if is_sortable else title
    sort = ' aria-sort="ascending"' if is_sorted else ""
    return f'<th scope="col"{_css(column)}{sort}>{inside}</th>'


def _row(columns: Sequence[Column], row: Row) -> str:
    assert len(row.cells) == len(columns), (len(row.cells), len(columns))
    cells = (
        f'<td{_css(column)} data-sort="{escaped(cell.sort)}">{cell.html}</td>'
        for column, cell in zip(columns, row.cells, strict=True)
    )
    return f'<tr class="{row.css}">{"".join(cells)}</tr>'


def _css(column: Column) -> str:
    names = " ".join(name for name, is_on in (("number", column.is_number), ("test", column.is_test)) if is_on)
    return f' class="{names}"' if names else ""


def section(heading: str, *parts_html: str) -> str:
    return f"<section><h2>{escaped(heading)}</h2>\n" + "\n".join(parts_html) + "\n</section>"


def paragraph(text: str, *, css: str = "") -> str:
    return f'<p class="{css}">{escaped(text)}</p>'


def notice(text: str, *, is_warning: bool = False) -> str:
    return paragraph(text, css="notice warning" if is_warning else "notice")


def document(title: str, body_html: str) -> str:
    """The whole page, with plotly.js inside, once."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escaped(title)}</title>
<style>{STYLE}</style>
<script>{get_plotlyjs()}</script>
</head>
<body>
<main>
{body_html}
</main>
<script>{SORT_SCRIPT}</script>
</body>
</html>
"""
