"""Tables of the winner: compared with the default configuration, machine by machine, and by microphone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.pages.formatting import is_missing, signed_text
from hpo.pages.table import Cell, Column, Row, Table, figure_cell, number_cell, split_cell, text_cell

METRICS = {
    "f1": "F1",
    "recall": "recall",
    "false_alarms": "false alarms",
    "auc": "AUC",
    "pauc": "partial AUC",
    "prevalence": "prevalence",
    "f1_flag_everything": "F1 of flagging everything",
}
"""Metrics of one split, by their key in result.json."""
EVENT_METRICS = {"event_f1": "event F1", "segment_f1": "segment F1"}
"""The same of all machines together, where events are labelled."""
SCORES = ("f1", "recall", "false_alarms", "auc", "pauc")
"""Metrics whose gain is shown, like that of EVENT_METRICS."""
SPLITS = ("validation", "test")


@dataclass(frozen=True, kw_only=True)
class WinnerTables:
    """The winner beside the default configuration, by machine and by microphone."""

    metrics: Table
    parameters: Table
    machines: Table
    microphones: Table | None
    """None where there is one alone."""


def winner_tables(winner: Mapping[str, Any], default: Mapping[str, Any] | None) -> WinnerTables:
    """A default configuration that is not complete has dashes."""
    default = default or {}
    titles = ["", f"winner (trial {winner['trial']})", "default (trial 0)"]
    columns = [Column(title=title, is_number=bool(title)) for title in titles]
    shown = [*METRICS, *(key for key in EVENT_METRICS if key in winner["test"])]
    metrics = [_metric_row(split, key, winner[split], default.get(split) or {}) for split in SPLITS for key in shown]
    parameters = [
        Row(cells=[text_cell(name), *(number_cell(one.get("parameters", {}).get(name)) for one in (winner, default))])
        for name in winner["parameters"]
    ]
    return WinnerTables(
        metrics=Table(columns=[*columns, Column(title="gain")], rows=metrics),
        parameters=Table(columns=columns, rows=parameters),
        machines=machines_table(winner["per_machine"]),
        microphones=microphones_table(winner) if winner.get("microphones") else None,
    )


def _metric_row(split: str, key: str, winner: Mapping[str, Any], default: Mapping[str, Any]) -> Row:
    ours, theirs = winner.get(key), default.get(key)
    gain = None if is_missing(ours) or is_missing(theirs) else ours - theirs  # type: ignore[operator]
    words = (METRICS | EVENT_METRICS)[key]
    cells = [split_cell(split, words), figure_cell(winner, key), number_cell(theirs, decimals=3)]
    return Row(cells=[*cells, Cell(text=signed_text(gain) if key in (*SCORES, *EVENT_METRICS) else "")], css=split)


def machines_table(per_machine: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """Two lines a machine, one for each split. A machine with clips of one label only has dashes."""
    columns = [Column(title="machine", is_number=False), Column(title="split", is_number=False)]
    columns += [Column(title=title) for title in METRICS.values()]
    rows = [
        _machine_row(machine if split == "validation" else "", split, splits.get(split) or {})
        for machine, splits in per_machine.items()
        for split in SPLITS
    ]
    return Table(columns=columns, rows=rows)


def _machine_row(machine: str, split: str, figures: Mapping[str, Any]) -> Row:
    values = (number_cell(figures.get(key), decimals=3) for key in METRICS)
    return Row(cells=[text_cell(machine), split_cell(split), *values], css=split)


def microphones_table(winner: Mapping[str, Any]) -> Table:
    """The AUC of each microphone alone, and first that of all together."""
    columns = [
        Column(title="microphone", is_number=False),
        Column(title="validation AUC"),
        Column(title="AUC", is_test=True),
    ]
    together = {"microphone": "all together", **{split: winner[split] for split in SPLITS}}
    rows = [
        Row(cells=[text_cell(each["microphone"]), *(figure_cell(each[split], "auc") for split in SPLITS)])
        for each in (together, *winner["microphones"])
    ]
    return Table(columns=columns, rows=rows)
