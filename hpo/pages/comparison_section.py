"""The winner beside its alternatives, as a table; on a study's page and on that of its folds."""

from collections.abc import Iterator, Mapping, Sequence

from core.baselines.comparison_table import TITLES, Line, ahead_title, asked_metric, figure_text
from core.baselines.paired_bootstrap import Figure
from hpo.pages.web_page import (
    TEST_NOTE,
    Cell,
    Column,
    Row,
    escaped,
    number_cell,
    paragraph,
    section,
    table,
    text_cell,
)

TITLE = "Beside the alternatives"
HOW = (
    "Every detector learned from the same takes. Its score, window, side, fusion, sigma and threshold were chosen on "
    "validation by one rule, and an alternative's variants were tried for as long as the search took, or until there "
    "were no more. AUC and pAUC over all machines are means over them; intervals are of 95 %, by drawing takes, and "
    "differences are between detectors on the same draws."
)
COSTS = {"weights": 0, "train, s": 1, "score, s": 1, "variants tried": 1, "tuning, s": 0}
"""Titles, with their decimals."""


def comparison_section(lines: Sequence[Line], *, title: str = TITLE) -> str:
    """A row a detector and, under it, one for each of several machines; then what was chosen for each detector."""
    metrics = list(lines[0].figures)
    columns = [Column(title="detector", is_number=False), Column(title="machine", is_number=False)]
    columns += [Column(title=TITLES[name], is_test=True) for name in metrics]
    columns += [Column(title=ahead_title(lines), is_test=True), *(Column(title=name) for name in COSTS)]
    rows = [row for line in lines for row in _rows(line, metrics, asked_metric(lines))]
    return section(title, paragraph(HOW), f"<p>{TEST_NOTE}</p>", table(columns, rows), _choices(lines))


def _rows(line: Line, metrics: Sequence[str], asked: str) -> Iterator[Row]:
    costs = (
        line.num_weights,
        line.seconds_to_train,
        line.seconds_to_score,
        line.num_tried,
        line.seconds_of_tuning,
    )
    numbers = [number_cell(cost, decimals=decimals) for cost, decimals in zip(costs, COSTS.values(), strict=True)]
    ahead = text_cell(figure_text(line.differences[asked], sign=True) if line.differences else "")
    yield Row(cells=[text_cell(line.name), text_cell("all"), *_figures(line.figures, metrics), ahead, *numbers])
    if len(line.by_machine) > 1:
        for machine, figures in line.by_machine.items():
            empty = [text_cell("")] * (1 + len(COSTS))
            yield Row(cells=[text_cell(""), text_cell(machine), *_figures(figures, metrics), *empty])


def _figures(figures: Mapping[str, Figure], metrics: Sequence[str]) -> list[Cell]:
    """With intervals; empty where a figure is of all machines alone."""
    return [text_cell(figure_text(figures[name]) if name in figures else "") for name in metrics]


def _choices(lines: Sequence[Line]) -> str:
    items = "".join(f"<li>{escaped(line.name)}: {escaped('; '.join(line.choices))}</li>" for line in lines)
    return f"<details><summary>What was chosen on validation</summary><ul>{items}</ul></details>"
