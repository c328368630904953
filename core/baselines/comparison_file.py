"""Rows of a comparison on disk: every detector's decisions about the test's clips, from which figures are computed."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from core.baselines.choice import Choice
from core.baselines.comparison import Row
from core.baselines.paired_bootstrap import SplitDecisions
from core.decision.event_metrics import EventCounts
from core.decision.postprocess import PostprocessingConfig

FORMER_KEY = "verdicts"
"""Of the decisions, in files that earlier versions wrote."""


def rows_to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Plain numbers, lists and words. A score may be -inf, which Python's JSON writes as `-Infinity`."""
    return [json.loads(json.dumps(asdict(row), default=_plain)) for row in rows]


def rows_from_json(table: Sequence[dict[str, Any]]) -> list[Row]:
    """The rows that `rows_to_json` was given."""
    return [_row(dict(each)) for each in table]


def load_rows(path: Path) -> list[Row]:
    """The rows of a study's comparison.json."""
    return rows_from_json(json.loads(path.read_text(encoding="utf-8"))["rows"])


def _plain(value: object) -> Any:
    assert isinstance(value, np.ndarray), f"a row holds a {type(value).__name__}"
    return value.tolist()


def _row(each: dict[str, Any]) -> Row:
    choice = each.pop("choice")
    decisions = each.pop("decisions" if "decisions" in each else FORMER_KEY)
    events = decisions["events"]
    return Row(
        **each,
        choice=Choice(**{**choice, "postprocessing": PostprocessingConfig(**choice["postprocessing"])}),
        decisions=SplitDecisions(
            scores=np.array(decisions["scores"], dtype=np.float64),
            threshold=decisions["threshold"],
            is_anomalous=np.array(decisions["is_anomalous"], dtype=np.bool_),
            recording_ids=tuple(decisions["recording_ids"]),
            machines=tuple(decisions["machines"]),
            events=EventCounts(**{name: np.array(counts) for name, counts in events.items()}) if events else None,
        ),
    )
