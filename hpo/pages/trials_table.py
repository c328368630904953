"""The report's tables of trials: every trial, and the failed ones. To add a column, add a line to `_columns`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hpo.pages.event_metrics import event_metrics_in
from hpo.pages.formatting import duration_text, number_text
from hpo.pages.table import Cell, Column, Row, Table, number_cell, text_cell
from hpo.results.prediction import healthy_bits_saved
from hpo.search.trial_record import TrialRecord


@dataclass(frozen=True, kw_only=True)
class ShownTrial:
    """A row of the table."""

    record: TrialRecord
    is_winner: bool
    page: str
    """Path of its page from the report's folder, "" where it has none."""


CellOf = Callable[[ShownTrial], Cell]


def trials_table(
    records: Sequence[TrialRecord], parameter_names: Sequence[str], *, winner: int | None, pages: Mapping[int, str]
) -> Table:
    """Every trial in any state; a click on a heading sorts. `pages` has the path of a trial's page by its number."""
    has_healthy = any(healthy_bits_saved(record) is not None for record in records)
    columns = _columns(parameter_names, event_metrics_in(records), has_healthy=has_healthy)
    shown = [
        ShownTrial(record=each, is_winner=each.number == winner, page=pages.get(each.number, "")) for each in records
    ]
    rows = [
        Row(cells=[cell(trial) for _, cell in columns], css="winner" if trial.is_winner else trial.record.state)
        for trial in shown
    ]
    return Table(columns=[column for column, _ in columns], rows=rows, is_sortable=True)


def _columns(
    parameter_names: Sequence[str], event_metrics: Sequence[str], *, has_healthy: bool
) -> list[tuple[Column, CellOf]]:
    """Each column with the function that gives its cell for a trial."""
    return [
        (Column(title="trial"), lambda trial: replace(number_cell(trial.record.number), link=trial.page)),
        (Column(title="state", is_number=False), _state),
        (Column(title="objective"), lambda trial: number_cell(trial.record.objective, decimals=3)),
        (Column(title="val F1"), _fact("val_f1", decimals=3)),
        (Column(title="val AUC"), _fact("val_auc", decimals=3)),
        (Column(title="F1", is_test=True), _fact("test_f1", decimals=3)),
        *([(Column(title="healthy bits saved"), _healthy_bits_saved)] if has_healthy else []),
        *((_event_column(metric), _event_cell(metric)) for metric in event_metrics),
        *((Column(title=name), _parameter(name)) for name in parameter_names),
        (Column(title="weights"), _fact("num_weights")),
        (Column(title="epochs"), lambda trial: number_cell(len(trial.record.epochs))),
        (Column(title="time"), _time),
    ]


def _state(trial: ShownTrial) -> Cell:
    tags = (("winner", trial.is_winner), ("default", trial.record.number == 0))
    return replace(text_cell(trial.record.state), tags=tuple(tag for tag, is_so in tags if is_so))


def _healthy_bits_saved(trial: ShownTrial) -> Cell:
    return number_cell(healthy_bits_saved(trial.record), decimals=3)


def _fact(name: str, *, decimals: int | None = None) -> CellOf:
    return lambda trial: number_cell(trial.record.facts.get(name), decimals=decimals)


def _parameter(name: str) -> CellOf:
    return lambda trial: number_cell(trial.record.parameters.get(name))


def _event_cell(metric: str) -> CellOf:
    return lambda trial: number_cell(trial.record.best_epoch.get(metric), decimals=3)


def _event_column(metric: str) -> Column:
    split, kind, _ = metric.split("_")
    return Column(title=f"{kind} F1", is_test=True) if split == "test" else Column(title=f"{split} {kind} F1")


def _time(trial: ShownTrial) -> Cell:
    return replace(number_cell(trial.record.seconds), text=duration_text(trial.record.seconds))


def failures_table(records: Sequence[TrialRecord]) -> Table | None:
    """The failed trials with their reasons; None where no trial failed."""
    failed = [record for record in records if record.state == "failed"]
    columns = [
        Column(title="trial"),
        Column(title="why", is_number=False),
        Column(title="epochs"),
        Column(title="parameters", is_number=False),
    ]
    return Table(columns=columns, rows=[_failure_row(record) for record in failed]) if failed else None


def _failure_row(record: TrialRecord) -> Row:
    parameters = ", ".join(f"{name} = {number_text(value)}" for name, value in record.parameters.items())
    reason = record.failure or "No reason was recorded."
    cells = [number_cell(record.number), text_cell(reason), number_cell(len(record.epochs)), text_cell(parameters)]
    return Row(cells=cells)
