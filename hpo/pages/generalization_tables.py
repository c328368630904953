"""The report's sections on how far its figures can be trusted: seeds, validation against test, and what is missed."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from hpo.pages.web_page import (
    DASH,
    TEST_NOTE,
    Cell,
    Column,
    Row,
    escaped,
    number_cell,
    number_text,
    paragraph,
    section,
    table,
    text_cell,
)

NO_FINALISTS = (
    "No finalist was trained again (finalists.new_seeds = 0, or no trial is complete): the winner may owe its F1 to "
    "its seed."
)
MOST_NAMES = 8
"""Of takes in one place of a table; the others are counted, and all are in result.json."""


def seeds_section(finalists: Sequence[Mapping[str, Any]]) -> str:
    """Each finalist's validation F1 by seed, with means over them; the winner is marked."""
    heading = "The finalists, trained again with new seeds"
    if not finalists:
        return section(heading, paragraph(NO_FINALISTS))
    seeds = [each["seed"] for each in finalists[0]["seeds"]]
    columns = [
        Column(title="trial"),
        *(Column(title=f"val F1, seed {seed}") for seed in seeds),
        Column(title="mean val F1 ± spread"),
        Column(title="mean val AUC ± spread"),
        Column(title="mean F1 ± spread", is_test=True),
        Column(title="mean AUC ± spread", is_test=True),
    ]
    how = (
        f"Trainings of {finalists[0]['epochs']} epochs; seed 1 is the trial's own. The highest mean validation F1 "
        "wins, and the file that is handed over is of the seed that is best on validation (F1, then AUC). The spread "
        "is the standard deviation over seeds; a training that failed counts as 0."
    )
    rows = [_finalist_row(row) for row in finalists]
    return section(heading, paragraph(how), table(columns, rows), paragraph(spread_sentence(finalists)))


def _finalist_row(row: Mapping[str, Any]) -> Row:
    tag = '&nbsp;<span class="tag winner">winner</span>' if row["is_winner"] else ""
    cells = [
        Cell(html=f"{row['trial']}{tag}"),
        *(_seed_cell(each, is_file=each["seed"] == row["seed_of_file"]) for each in row["seeds"]),
        *(_mean_cell(row[split], kind) for split in ("validation", "test") for kind in ("f1", "auc")),
    ]
    return Row(cells=cells, css="winner" if row["is_winner"] else "")


def _seed_cell(each: Mapping[str, Any], *, is_file: bool) -> Cell:
    if each["state"] != "complete":
        return text_cell(each["state"])
    tag = '<span class="tag">file</span>&nbsp;' if is_file else ""
    return Cell(html=tag + escaped(number_text(each["validation"]["f1"], decimals=3)))


def _mean_cell(figures: Mapping[str, float], kind: str) -> Cell:
    mean, spread = (number_text(figures[f"{kind}_{what}"], decimals=3) for what in ("mean", "spread"))
    return Cell(html=escaped(f"{mean} ± {spread}"))


def spread_sentence(finalists: Sequence[Mapping[str, Any]]) -> str:
    """Whether the finalists differ by more than their seeds do."""
    # Pooled within finalists, all of which have the same number of seeds.
    spread = math.sqrt(fmean(row["validation"]["f1_spread"] ** 2 for row in finalists))
    if len(finalists) < 2:
        return f"Validation F1 spreads by {spread:.3f} over seeds; there is no other finalist to compare with."
    first, second = sorted((row["validation"]["f1_mean"] for row in finalists), reverse=True)[:2]
    if spread > first - second:
        verdict = "larger than"
        meaning = "other seeds might have made another of them the winner."
    else:
        verdict = "no larger than"
        meaning = "the order of the two is not the seeds' doing alone."
    return (
        f"The spread of validation F1 over seeds ({spread:.3f}, pooled) is {verdict} the distance between the means of "
        f"the first and the second finalist ({first - second:.3f}): {meaning}"
    )


def gap_section(gaps: Sequence[Mapping[str, Any]]) -> str:
    """Validation minus test for the winner, the finalists and all complete trials."""
    heading = "How far do validation and test differ?"
    if not gaps:
        return section(heading, paragraph("There is no winner."))
    columns = [
        Column(title="", is_number=False),
        Column(title="trainings"),
        Column(title="F1, validation minus test", is_test=True),
        Column(title="AUC, validation minus test", is_test=True),
    ]
    rows = [
        Row(
            cells=[
                text_cell(_whose(row)),
                number_cell(row["num_trainings"]),
                _gap_cell(row["f1"]),
                _gap_cell(row["auc"]),
            ]
        )
        for row in gaps
    ]
    return section(heading, f"<p>{TEST_NOTE}</p>", table(columns, rows), paragraph(gap_sentence(gaps)))


def _whose(row: Mapping[str, Any]) -> str:
    if row["what"] == "complete":
        return "mean of all complete trials"
    if row["what"] == "winner":
        return f"the winner's file (trial {row['trials'][0]})"
    return f"trial {row['trials'][0]}, mean over its seeds"


def _gap_cell(value: float | None) -> Cell:
    return Cell(html=DASH if value is None or math.isnan(value) else f"{value:+.3f}")


def gap_sentence(gaps: Sequence[Mapping[str, Any]]) -> str:
    """What choosing on validation has cost: the winner's gap beyond that of trials that nobody chose."""
    winner, complete = gaps[0], gaps[-1]
    beyond = winner["f1"] - complete["f1"]
    meaning = "which is what choosing on validation flatters it by" if beyond > 0 else "so choosing did not flatter it"
    return (
        f"Over all complete trials validation F1 is {complete['f1']:+.3f} from test F1 on average: so much the splits' "
        f"clips differ. The winner's gap is {beyond:+.3f} from that (AUC {winner['auc'] - complete['auc']:+.3f}), "
        f"{meaning}, as far as so few clips can tell."
    )


def faults_section(faults: Sequence[Mapping[str, Any]]) -> str:
    """What the winner's file flags, by machine and condition: faults first, then false alarms."""
    if not faults:
        return section("Which faults are missed?", paragraph("There is no winner."))
    anomalous = [row for row in faults if row["is_anomalous"]]
    normal = [row for row in faults if not row["is_anomalous"]]
    return section(
        "Which faults are missed?",
        paragraph(
            "Decisions of the winner's file at its threshold. A take is missed when none of its clips is flagged."
        ),
        f"<p>{TEST_NOTE}</p>",
        _flags_table(anomalous, takes="takes_missed", title="takes missed"),
        "<h3>False alarms on normal clips</h3>",
        _flags_table(normal, takes="takes_flagged", title="takes with an alarm"),
    )


def _flags_table(rows: Sequence[Mapping[str, Any]], *, takes: str, title: str) -> str:
    columns = [Column(title="machine", is_number=False), Column(title="condition", is_number=False)]
    for is_test in (False, True):
        split = "" if is_test else "val "
        columns += [
            Column(title=f"{split}clips", is_test=is_test),
            Column(title=f"{split}takes", is_test=is_test),
            Column(title=f"{split}flagged", is_test=is_test),
            Column(title=f"{split}{title}", is_test=is_test, is_number=False),
        ]
    return table(columns, [_flags_row(row, takes) for row in rows])


def _flags_row(row: Mapping[str, Any], takes: str) -> Row:
    cells = [text_cell(row["machine"]), text_cell(row["condition"])]
    for split in ("validation", "test"):
        figures = row[split] or {}
        share = figures.get("share_flagged")
        cells += [
            number_cell(figures.get("num_clips")),
            number_cell(figures.get("num_takes")),
            Cell(html=DASH if share is None else f"{100 * share:.0f} %"),
            text_cell(_names(figures.get(takes, ()))),
        ]
    return Row(cells=cells)


def _names(takes: Sequence[str]) -> str:
    shown = ", ".join(takes[:MOST_NAMES])
    others = len(takes) - MOST_NAMES
    return f"{shown} and {others} more" if others > 0 else shown
