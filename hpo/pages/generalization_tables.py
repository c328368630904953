"""The report's tables of generalisation: new seeds, validation against test, and missed faults."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from hpo.pages.formatting import number_text, signed_text
from hpo.pages.table import Cell, Column, Row, Table, number_cell, text_cell

MAX_NAMES = 8
"""Takes in one place of a table. The others are counted; result.json has all of them."""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A table and the sentence that reads it."""

    table: Table
    sentence: str


def seeds_view(finalists: Sequence[Mapping[str, Any]], *, objective: str) -> Explained | None:
    """Each finalist's objective by seed, with means over seeds; None where no finalist was trained again."""
    if not finalists:
        return None
    columns = [
        Column(title="trial"),
        *(Column(title=f"val {objective}, seed {each['seed']}") for each in finalists[0]["seeds"]),
        Column(title=f"mean val {objective} ± spread"),
        Column(title="mean val F1 ± spread"),
        Column(title="mean val AUC ± spread"),
        Column(title="mean F1 ± spread", is_test=True),
        Column(title="mean AUC ± spread", is_test=True),
    ]
    table = Table(columns=columns, rows=[_finalist_row(row) for row in finalists])
    return Explained(table=table, sentence=spread_sentence(finalists, objective=objective))


def _finalist_row(row: Mapping[str, Any]) -> Row:
    cells = [
        Cell(text=str(row["trial"]), tags=("winner",) if row["is_winner"] else ()),
        *(_seed_cell(each, is_file=each["seed"] == row["seed_of_file"]) for each in row["seeds"]),
        _mean_cell(row, "objective"),
        *(_mean_cell(row[split], kind) for split in ("validation", "test") for kind in ("f1", "auc")),
    ]
    return Row(cells=cells, css="winner" if row["is_winner"] else "")


def _seed_cell(each: Mapping[str, Any], *, is_file: bool) -> Cell:
    if each["state"] != "complete":
        return text_cell(each["state"])
    return Cell(text=number_text(each["objective"], decimals=3), tags=("file",) if is_file else ())


def _mean_cell(figures: Mapping[str, float], kind: str) -> Cell:
    mean, spread = (number_text(figures[f"{kind}_{what}"], decimals=3) for what in ("mean", "spread"))
    return Cell(text=f"{mean} ± {spread}")


def spread_sentence(finalists: Sequence[Mapping[str, Any]], *, objective: str) -> str:
    """Whether the finalists differ by more than their seeds do."""
    # Pooled within finalists, all of which have the same number of seeds.
    spread = math.sqrt(fmean(row["objective_spread"] ** 2 for row in finalists))
    if len(finalists) < 2:
        return f"Validation {objective} spreads by {spread:.3f} over seeds; there is no other finalist to compare with."
    first, second = sorted((row["objective_mean"] for row in finalists), reverse=True)[:2]
    if spread > first - second:
        order, meaning = "larger than", "With other seeds another finalist might have won."
    else:
        order, meaning = "no larger than", "The seeds alone do not explain the order of the two."
    return (
        f"The spread of validation {objective} over seeds ({spread:.3f}, pooled) is {order} the distance between the "
        f"means of the first and the second finalist ({first - second:.3f}). {meaning}"
    )


def gaps_view(gaps: Sequence[Mapping[str, Any]], *, has_other_threshold: bool) -> Explained | None:
    """Validation minus test for the winner, the finalists and all complete trials; None without a winner.

    `has_other_threshold` says that a promise has changed the winner's threshold, after the choice.
    """
    if not gaps:
        return None
    columns = [
        Column(title="", is_number=False),
        Column(title="trainings"),
        Column(title="F1, validation minus test", is_test=True),
        Column(title="AUC, validation minus test", is_test=True),
    ]
    rows = [
        Row(
            cells=[
                text_cell(_gap_label(row)),
                number_cell(row["num_trainings"]),
                Cell(text=signed_text(row["f1"])),
                Cell(text=signed_text(row["auc"])),
            ]
        )
        for row in gaps
    ]
    return Explained(
        table=Table(columns=columns, rows=rows), sentence=gap_sentence(gaps, has_other_threshold=has_other_threshold)
    )


def _gap_label(row: Mapping[str, Any]) -> str:
    if row["what"] == "complete":
        return "mean of all complete trials"
    if row["what"] == "winner":
        return f"the winner's file (trial {row['trials'][0]})"
    return f"trial {row['trials'][0]}, mean over its seeds"


def gap_sentence(gaps: Sequence[Mapping[str, Any]], *, has_other_threshold: bool) -> str:
    """The cost of choosing on validation: the winner's gap beyond the mean gap of all complete trials."""
    winner, complete = gaps[0], gaps[-1]
    beyond = winner["f1"] - complete["f1"]
    if has_other_threshold:
        meaning = (
            "It has the threshold of the promise, and the trials have the study's own, so choosing is not all of it"
        )
    else:
        meaning = "Choosing on validation flatters the winner by that" if beyond > 0 else "Choosing did not flatter it"
    return (
        f"Over all complete trials, validation F1 minus test F1 is {complete['f1']:+.3f} on average; this is how much "
        f"the clips of the two splits differ. The winner's gap is {beyond:+.3f} from that "
        f"(AUC {winner['auc'] - complete['auc']:+.3f}). {meaning}, as far as so few clips can tell."
    )


@dataclass(frozen=True, kw_only=True)
class FlaggedTables:
    """The clips that the winner's file flags, by machine and condition."""

    faults: Table
    false_alarms: Table


def flagged_view(rows: Sequence[Mapping[str, Any]]) -> FlaggedTables | None:
    """Faults and false alarms; None without a winner."""
    if not rows:
        return None
    faults = [row for row in rows if row["is_anomalous"]]
    normal = [row for row in rows if not row["is_anomalous"]]
    return FlaggedTables(
        faults=_flagged_table(faults, takes="takes_missed", title="takes missed"),
        false_alarms=_flagged_table(normal, takes="takes_flagged", title="takes with an alarm"),
    )


def _flagged_table(rows: Sequence[Mapping[str, Any]], *, takes: str, title: str) -> Table:
    columns = [Column(title="machine", is_number=False), Column(title="condition", is_number=False)]
    for is_test in (False, True):
        split = "" if is_test else "val "
        columns += [
            Column(title=f"{split}clips", is_test=is_test),
            Column(title=f"{split}takes", is_test=is_test),
            Column(title=f"{split}flagged", is_test=is_test),
            Column(title=f"{split}{title}", is_test=is_test, is_number=False),
        ]
    return Table(columns=columns, rows=[_flagged_row(row, takes) for row in rows])


def _flagged_row(row: Mapping[str, Any], takes: str) -> Row:
    cells = [text_cell(row["machine"]), text_cell(row["condition"])]
    for split in ("validation", "test"):
        figures = row[split] or {}
        share = figures.get("share_flagged")
        cells += [
            number_cell(figures.get("num_clips")),
            number_cell(figures.get("num_takes")),
            Cell(text=number_text(None) if share is None else f"{100 * share:.0f} %"),
            text_cell(_names(figures.get(takes, ()))),
        ]
    return Row(cells=cells)


def _names(takes: Sequence[str]) -> str:
    shown = ", ".join(takes[:MAX_NAMES])
    others = len(takes) - MAX_NAMES
    return f"{shown} and {others} more" if others > 0 else shown
