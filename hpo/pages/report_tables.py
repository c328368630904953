"""The report's tables: winner against default, machine by machine, what failed, and every trial."""

from collections.abc import Mapping, Sequence
from typing import Any

from hpo.pages.event_figures import at_best_epoch, event_metrics_in
from hpo.pages.web_page import (
    DASH,
    TEST_MARK,
    Cell,
    Column,
    Row,
    duration_text,
    escaped,
    is_missing,
    number_cell,
    number_text,
    paragraph,
    table,
    text_cell,
)
from hpo.search.trial_record import TrialRecord

FIGURES = {
    "f1": "F1",
    "auc": "AUC",
    "pauc": "partial AUC",
    "prevalence": "prevalence",
    "f1_flag_everything": "F1 of flagging everything",
}
"""Figures of one split, by their key in the result."""


def comparison_tables(winner: Mapping[str, Any], default: Mapping[str, Any] | None) -> str:
    """Winner beside default: figures of both splits, then parameters. Without a complete default, dashes."""
    default = default or {}
    titles = ["", f"winner (trial {winner['trial']})", "default (trial 0)"]
    columns = [Column(title=title, is_number=bool(title)) for title in titles]
    figures = [
        _comparison_row(split, key, winner[split], default.get(split) or {})
        for split in ("validation", "test")
        for key in FIGURES
    ]
    parameters = [
        Row(cells=[text_cell(name), *(number_cell(one.get("parameters", {}).get(name)) for one in (winner, default))])
        for name in winner["parameters"]
    ]
    tables = (table([*columns, Column(title="gain")], figures), table(columns, parameters))
    return f'<div class="columns">{"".join(f"<div>{one}</div>" for one in tables)}</div>'


def _comparison_row(split: str, key: str, winner: Mapping[str, Any], default: Mapping[str, Any]) -> Row:
    ours, theirs = winner.get(key), default.get(key)
    shown = escaped(number_text(ours, decimals=3))
    if interval := winner.get(f"{key}_interval"):
        shown = f'<span class="quiet">({interval_text(interval)})</span> {shown}'
    is_score = key in ("f1", "auc", "pauc")
    cells = [_split_cell(split, label=FIGURES[key]), Cell(html=shown), number_cell(theirs, decimals=3)]
    return Row(cells=[*cells, Cell(html=_gain(ours, theirs) if is_score else "")], css=split)


def _split_cell(split: str, *, label: str = "") -> Cell:
    mark = TEST_MARK if split == "test" else escaped(split)
    return Cell(html=f"{mark} {escaped(label)}".strip(), sort=split)


def _gain(ours: Any, theirs: Any) -> str:
    return DASH if is_missing(ours) or is_missing(theirs) else f"{ours - theirs:+.3f}"


def interval_text(interval: Sequence[float | None]) -> str:
    low, high = (number_text(bound, decimals=3) for bound in interval)
    return f"{low} to {high}"


def machines_table(per_machine: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Two lines a machine, one a split; a dash where a machine has clips of one label alone."""
    columns = [Column(title="machine", is_number=False), Column(title="split", is_number=False)]
    columns += [Column(title=label) for label in FIGURES.values()]
    rows = [
        _machine_row(machine if split == "validation" else "", split, splits.get(split) or {})
        for machine, splits in per_machine.items()
        for split in ("validation", "test")
    ]
    return table(columns, rows)


def _machine_row(machine: str, split: str, figures: Mapping[str, Any]) -> Row:
    values = (number_cell(figures.get(key), decimals=3) for key in FIGURES)
    return Row(cells=[text_cell(machine), _split_cell(split), *values], css=split)


def failures_table(records: Sequence[TrialRecord]) -> str:
    failed = [r for r in records if r.state == "failed"]
    if not failed:
        return paragraph("No trial failed.")
    columns = [
        Column(title="trial"),
        Column(title="why", is_number=False),
        Column(title="epochs"),
        Column(title="parameters", is_number=False),
    ]
    return table(columns, [_failure_row(record) for record in failed])


def _failure_row(record: TrialRecord) -> Row:
    parameters = ", ".join(f"{name} = {number_text(value)}" for name, value in record.parameters.items())
    reason = record.failure or "No reason was recorded."
    cells = [number_cell(record.number), text_cell(reason), number_cell(len(record.epochs)), text_cell(parameters)]
    return Row(cells=cells)


def trials_table(records: Sequence[TrialRecord], parameter_names: Sequence[str], winner: int | None) -> str:
    """Every trial, whatever became of it; a click on a heading sorts."""
    event_metrics = event_metrics_in(records)
    columns = [
        Column(title="trial"),
        Column(title="state", is_number=False),
        Column(title="val F1"),
        Column(title="val AUC"),
        Column(title="F1", is_test=True),
        *(_event_column(metric) for metric in event_metrics),
        *(Column(title=name) for name in parameter_names),
        Column(title="weights"),
        Column(title="epochs"),
        Column(title="time"),
    ]
    rows = [_trial_row(r, parameter_names, event_metrics, winner) for r in records]
    return table(columns, rows, is_sortable=True)


def _event_column(metric: str) -> Column:
    split, kind, _ = metric.split("_")
    return Column(title=f"{kind} F1", is_test=True) if split == "test" else Column(title=f"{split} {kind} F1")


def _trial_row(
    record: TrialRecord, parameter_names: Sequence[str], event_metrics: Sequence[str], winner: int | None
) -> Row:
    tags = [name for name, is_so in (("winner", record.number == winner), ("default", record.number == 0)) if is_so]
    state = escaped(record.state) + "".join(f'&nbsp;<span class="tag {tag}">{tag}</span>' for tag in tags)
    seconds = "" if is_missing(record.seconds) else str(record.seconds)
    cells = [
        number_cell(record.number),
        Cell(html=state, sort=record.state),
        number_cell(record.val_f1, decimals=3),
        number_cell(record.facts.get("val_auc"), decimals=3),
        number_cell(record.facts.get("test_f1"), decimals=3),
        *(number_cell(at_best_epoch(record, metric), decimals=3) for metric in event_metrics),
        *(number_cell(record.parameters.get(name)) for name in parameter_names),
        number_cell(record.facts.get("num_weights")),
        number_cell(len(record.epochs)),
        Cell(html=escaped(duration_text(record.seconds)), sort=seconds),
    ]
    return Row(cells=cells, css="winner" if record.number == winner else record.state)
