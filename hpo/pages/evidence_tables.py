"""The report's tables of what the test recordings prove, and of what more of them would."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.pages.formatting import interval_text, number_text
from hpo.pages.table import Column, Row, Table, number_cell, text_cell

LABELS = {"anomalous": "anomalous, flagged", "normal": "normal, flagged (false alarms)"}
LABELS_INJECTED = LABELS | {"anomalous": "normal with an injected fault, flagged"}


@dataclass(frozen=True, kw_only=True)
class EvidenceView:
    """What the section shows."""

    sentence: str
    recordings: Table
    advice: Sequence[str]
    curve: Table | None
    """None where something stood in for recordings: more of that would prove nothing."""
    calibration: str | None
    """What fewer calibration recordings cost."""


def evidence_view(evidence: Mapping[str, Any] | None, test: Mapping[str, Any]) -> EvidenceView | None:
    """`evidence` of result.json, and the winner's test figures; None where there is no evidence."""
    if evidence is None:
        return None
    return EvidenceView(
        sentence=_sentence(evidence),
        recordings=_recordings(
            test["recordings"], labels=LABELS_INJECTED if "faults" in evidence["stand_ins"] else LABELS
        ),
        advice=evidence["advice"],
        curve=None if evidence["stand_ins"] else _curve(evidence["learning_curve"]),
        calibration=evidence["calibration_sentence"],
    )


def _sentence(evidence: Mapping[str, Any]) -> str:
    verdict = "The winner is proven" if evidence["is_proven"] else "The winner is unproven"
    ranked = "recordings with injected faults" if "faults" in evidence["stand_ins"] else "anomalous test recordings"
    test = "sign test, each recording against itself," if evidence["is_paired"] else "exact Mann-Whitney test"
    flagged = "more than half of its clips are" if evidence["faults_last"] else "one of its clips is"
    return (
        f"{verdict}: chance ranks the {ranked} as high with p {evidence['p_value']:.2g} ({test} on one score a "
        "recording, the median of its clips). Recordings and not clips are counted, "
        "because clips of one recording are not independent, and a recording is flagged, as by detect, when "
        f"{flagged}. Intervals of rates are those of Clopper and Pearson, "
        "and that of F1 goes from the worst of both rates to the best of both."
        f"{_of_partly_faulty(evidence['num_partly_faulty'], stand_ins=evidence['stand_ins'])}"
    )


def _of_partly_faulty(count: int, *, stand_ins: Sequence[str]) -> str:
    if not count or "faults" in stand_ins:
        return ""
    which = "One recording is" if count == 1 else f"{count} recordings are"
    return (
        f" {which} faulty in part: counted as anomalous with the clips of the fault, as normal with the others, and in "
        "the test once."
    )


def _recordings(counts: Mapping[str, Mapping[str, Any]], *, labels: Mapping[str, str]) -> Table:
    columns = [Column(title="test recordings", is_number=False)]
    columns += [Column(title=title, is_test=True) for title in ("flagged", "of", "95 % interval of the share")]
    rows = [
        Row(
            cells=[
                text_cell(labels[name]),
                number_cell(each["num_flagged"]),
                number_cell(each["num_recordings"]),
                text_cell(interval_text(each["flagged_interval"])),
            ]
        )
        for name, each in counts.items()
    ]
    return Table(columns=columns, rows=rows)


def _curve(curve: Sequence[Mapping[str, Any]]) -> Table:
    titles = ("anomalous", "normal", "recall", "false alarms", "F1")
    rows = [
        Row(
            cells=[
                *(text_cell(number_text(row[name])) for name in ("num_anomalous", "num_normal")),
                *(text_cell(interval_text(row[f"{name}_interval"])) for name in ("recall", "false_alarms", "f1")),
            ]
        )
        for row in curve
    ]
    return Table(columns=[Column(title=title) for title in titles], rows=rows)
