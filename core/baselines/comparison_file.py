"""Rows of a comparison on disk: what each detector said of the test's clips, so that figures of any kind follow."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from core.baselines.comparison import Choice, Row
from core.baselines.paired_bootstrap import SplitDecisions
from core.decision.event_metrics import EventCounts
from core.decision.postprocess import PostprocessingConfig


def rows_to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Plain numbers, lists and words. A score may be -inf, which Python's JSON keeps as `-Infinity`."""
    return [json.loads(json.dumps(asdict(row), default=_plain)) for row in rows]


def rows_from_json(table: Sequence[dict[str, Any]]) -> list[Row]:
    """The rows as they were."""
    return [_row(dict(each)) for each in table]


def load_rows(path: Path) -> list[Row]:
    """The rows of a study's comparison.json."""
    return rows_from_json(json.loads(path.read_text(encoding="utf-8"))["rows"])


def _plain(value: object) -> Any:
    assert isinstance(value, np.ndarray), f"a row holds a {type(value).__name__}"
    return value.tolist()


def _row(each: dict[str, Any]) -> Row:
    choice, verdicts = each.pop("choice"), each.pop("verdicts")
    events = verdicts.pop("events")
    return Row(
        **each,
        choice=Choice(**{**choice, "postprocessing": PostprocessingConfig(**choice["postprocessing"])}),
        verdicts=SplitDecisions(
            scores=np.array(verdicts["scores"], dtype=np.float64),
            threshold=verdicts["threshold"],
            is_anomalous=np.array(verdicts["is_anomalous"], dtype=np.bool_),
            recording_ids=tuple(verdicts["recording_ids"]),
            machines=tuple(verdicts["machines"]),
            events=EventCounts(**{name: np.array(counts) for name, counts in events.items()}) if events else None,
        ),
    )
