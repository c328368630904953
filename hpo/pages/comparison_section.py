"""The winner beside its alternatives, as a table; on a study's page and on that of its folds."""

from collections.abc import Sequence

from core.comparison_table import Line, cells_of
from hpo.pages.web_page import TEST_NOTE, Column, Row, escaped, paragraph, section, table, text_cell

TITLE = "Beside the alternatives"
HOW = (
    "Every detector learned from the same takes. Its score, window, side, fusion, sigma and threshold were chosen on "
    "validation by one rule, and an alternative's variants were tried for as long as the search took, or until there "
    "were no more. AUC and pAUC are means over machines; intervals are of 95 %, by drawing takes, and differences "
    "are between detectors on the same draws."
)


def comparison_section(lines: Sequence[Line], *, title: str = TITLE) -> str:
    """The table, and under it what was chosen for each detector."""
    head, *rows = cells_of(lines)
    columns = [Column(title=head[0], is_number=False), *(Column(title=name) for name in head[1:])]
    body = table(columns, [Row(cells=[text_cell(cell) for cell in cells]) for cells in rows])
    return section(title, paragraph(HOW), f"<p>{TEST_NOTE}</p>", body, _choices(lines))


def _choices(lines: Sequence[Line]) -> str:
    items = "".join(f"<li>{escaped(line.name)}: {escaped('; '.join(line.choices))}</li>" for line in lines)
    return f"<details><summary>What was chosen on validation</summary><ul>{items}</ul></details>"
