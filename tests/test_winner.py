"""The rule by which a trial wins."""

import math
from typing import Any

import pytest

from hpo.trial_record import TrialRecord
from hpo.winner import choose_winner


def record(number: int, val_f1: float | None, **facts: Any) -> TrialRecord:
    state = "pruned" if val_f1 is None else "complete"
    return TrialRecord(
        number=number, state=state, val_f1=val_f1, parameters={}, epochs=(), facts=facts, failure=None, seconds=1.0
    )


@pytest.mark.parametrize(
    ("records", "winner"),
    [
        ([record(0, 0.5), record(1, 0.7), record(2, 0.6)], 1),
        ([record(0, 0.7, val_auc=0.8), record(1, 0.7, val_auc=0.9), record(2, 0.7, val_auc=math.nan)], 1),
        ([record(0, 0.7, val_auc=0.8, num_weights=20), record(1, 0.7, val_auc=0.8, num_weights=10)], 1),
        ([record(0, 0.7, val_auc=0.8), record(1, 0.7, val_auc=0.8)], 0),
        ([record(0, math.inf), record(1, None), record(2, 0.1)], 2),
        ([record(0, 0.7, test_f1=0.1), record(1, 0.6, test_f1=0.9)], 0),
        ([record(0, None)], None),
    ],
)
def test_winner(records: list[TrialRecord], winner: int | None) -> None:
    chosen = choose_winner(records)
    assert (chosen and chosen.number) == winner
