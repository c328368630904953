"""The rule by which a trial wins."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.results.winner import Finalist, SeedTraining, choose_best, choose_finalist, choose_winner
from hpo.search.trial_record import TrialRecord


def record(number: int, val_f1: float | None, **facts: Any) -> TrialRecord:
    state = "pruned" if val_f1 is None else "complete"
    return TrialRecord(
        number=number, state=state, objective=val_f1, parameters={}, epochs=(), facts=facts, failure=None, seconds=1.0
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


def finalist(number: int, *figures: tuple[float | None, float], weights: int = 10, test_f1: float = 0.5) -> Finalist:
    """Validation F1 and AUC by seed; an F1 of None is a training that failed."""
    records = [
        replace(
            record(100 + number, val_f1),
            facts={"val_f1": val_f1, "val_auc": val_auc, "num_weights": weights, "test_f1": test_f1},
        )
        for val_f1, val_auc in figures
    ]
    seeds = [SeedTraining(seed=i, record=each, directory=Path(f"{i}")) for i, each in enumerate(records, start=1)]
    return Finalist(number=number, epochs=3, seeds=tuple(seeds))


@pytest.mark.parametrize(
    ("finalists", "winner"),
    [
        ([finalist(0, (1.0, 0.9), (0.4, 0.9)), finalist(1, (0.8, 0.9), (0.8, 0.9))], 1),  # lucky once
        ([finalist(0, (0.8, 0.7), (0.6, 0.7)), finalist(1, (0.7, 0.8), (0.7, 0.8))], 1),  # AUC decides among equals
        ([finalist(0, *[(0.2, 0.7)] * 3), finalist(1, (0.1, 0.7), (0.2, 0.7), (0.3, 0.7), weights=9)], 1),
        ([finalist(4, (0.7, 0.7)), finalist(3, (0.7, 0.7))], 3),
        ([finalist(0, (0.9, 0.9), (None, 0.0)), finalist(1, (0.5, 0.5), (0.5, 0.5))], 1),  # a failure counts as 0
        ([finalist(0, (0.6, 0.6), test_f1=0.9), finalist(1, (0.7, 0.7), test_f1=0.1)], 1),
        ([finalist(0, (None, 0.0)), finalist(1, (0.0, 0.5))], 1),
        ([finalist(0, (None, 0.0))], None),
        ([], None),
    ],
)
def test_finalist(finalists: list[Finalist], winner: int | None) -> None:
    chosen = choose_finalist(finalists)
    assert (chosen and chosen.number) == winner


def test_the_file_is_that_of_the_best_seed_on_validation() -> None:
    chosen = finalist(0, (0.7, 0.9), (0.8, 0.6), (0.8, 0.7), (None, 1.0)).best
    assert chosen is not None
    assert chosen.seed == 3
    assert finalist(0, (None, 0.9)).best is None


def test_the_best_trials_are_ranked_by_the_rule_of_the_winner() -> None:
    records = [record(0, 0.5), record(1, None), record(2, 0.7, val_auc=0.6), record(3, 0.7, val_auc=0.8)]
    assert [each.number for each in choose_best(records, 2)] == [3, 2]
    assert [each.number for each in choose_best(records, 9)] == [3, 2, 0]
