"""The winner compared with the alternatives, as tables for a study's report and for that of its folds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.baselines.comparison_table import TITLES, Line, ahead_title, asked_metric, figure_text
from core.baselines.paired_bootstrap import Figure
from hpo.pages.table import Cell, Column, Row, Table, number_cell, text_cell

COSTS = {"weights": 0, "train, s": 1, "score, s": 1, "variants tried": 0, "tuning, s": 0}
"""Titles, with their decimals."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What `comparison.html.jinja` shows."""

    table: Table
    choices: Mapping[str, str]
    """What was chosen on validation, by the detector's name."""


def comparison_view(lines: Sequence[Line]) -> Comparison | None:
    """One row a detector, and one more for each of several machines; None without any line."""
    if not lines:
        return None
    metrics = list(lines[0].figures)
    columns = [Column(title="detector", is_number=False), Column(title="machine", is_number=False)]
    columns += [Column(title=TITLES[name], is_test=True) for name in metrics]
    columns += [Column(title=ahead_title(lines), is_test=True), *(Column(title=name) for name in COSTS)]
    rows = [row for line in lines for row in _rows(line, metrics, asked_metric(lines))]
    choices = {line.name: "; ".join(line.choices) for line in lines}
    return Comparison(table=Table(columns=columns, rows=rows), choices=choices)


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
    """With intervals; empty where a metric exists only over all machines."""
    return [text_cell(figure_text(figures[name]) if name in figures else "") for name in metrics]
