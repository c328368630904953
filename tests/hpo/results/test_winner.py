"""The rule by which a trial wins."""

import math
import random
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.decision.take_counts import TakeCounts
from hpo.results.choice_words import choice_of, lead_sentence
from hpo.results.winner import (
    Finalist,
    Lead,
    SeedTraining,
    choose_best,
    choose_finalist,
    choose_winner,
    highest,
    lead_of_trials,
)
from hpo.search.trial_record import TrialRecord


def record(number: int, val_f1: float | None, **facts: Any) -> TrialRecord:
    state = "pruned" if val_f1 is None else "complete"
    return TrialRecord(
        number=number, state=state, objective=val_f1, parameters={}, epochs=(), facts=facts, failure=None, seconds=1.0
    )


NUM_TAKES, NUM_HEALTHY = 20, 60


def judged(number: int, *found: bool, **facts: Any) -> TrialRecord:
    """A trial that flags these of 20 anomalous takes, and none of 60 healthy ones; the last answer counts for all
    others."""
    flags = [float(found[min(i, len(found) - 1)]) for i in range(NUM_TAKES)]
    counts = TakeCounts(
        hits=(*flags, *[0.0] * NUM_HEALTHY),
        flagged=(*flags, *[0.0] * NUM_HEALTHY),
        anomalous=(1,) * NUM_TAKES + (0,) * NUM_HEALTHY,
        clips=(1,) * (NUM_TAKES + NUM_HEALTHY),
    )
    f1 = 2 * sum(flags) / (sum(flags) + NUM_TAKES)
    return replace(record(number, f1, **{"val_auc": 0.9, "num_weights": 10} | facts), take_counts=counts)


HALF = (True, False) * (NUM_TAKES // 2)
ONE_MORE = (True, True, *HALF[2:])
TWO_WRONG = (False, True, *HALF[2:])


def test_of_equal_trials_the_default_wins() -> None:
    records = [judged(0, *HALF, val_auc=0.5), judged(1, *HALF, val_auc=0.9), judged(2, *HALF)]
    assert choose_winner(records) == records[0]
    assert [each.number for each in choose_best(records, 3)] == [0, 1, 2]


def test_a_default_that_is_no_better_than_flagging_everything_does_not_win() -> None:
    """Flagging everything has an F1 of 0.4."""
    records = [judged(0, *found(0, 6)), judged(1, *found(3, 10))]
    assert choose_winner(records) == records[0]
    records = [judged(0, *found(0, 4)), judged(1, *found(2, 7))]
    assert choose_winner(records) == records[1]


def test_what_is_no_better_than_flagging_everything_is_said_of_the_winner_or_of_what_it_is_ahead_of() -> None:
    lead = partial(Lead, standard_error=0.1, default_is_a_detector=False)
    alone = lead_sentence(lead(best=0, difference=0.0), objective="F1")
    assert alone.startswith("The default configuration (trial 0) has the highest F1 on validation, and is no better")
    for difference in (0.0, 0.05):
        other = lead_sentence(lead(best=3, difference=difference), objective="F1")
        assert other.startswith("The highest F1 on validation wins: the default")
        assert other.endswith("it is not kept.")


def found(first: int, end: int) -> list[bool]:
    return [first <= take < end for take in range(NUM_TAKES)]


def test_a_lead_that_three_decimals_do_not_show_is_none() -> None:
    """Where every trial finds everything, expected F1 rises with the threshold, up to the end of its range."""
    lead = Lead(best=3, difference=4e-6, standard_error=3e-6)
    assert lead.default_wins
    assert "none has a higher" in lead_sentence(lead, objective="expected F1")
    assert not Lead(best=3, difference=4e-3, standard_error=3e-3).default_wins


def test_the_default_wins_within_one_standard_error() -> None:
    records = [judged(0, *HALF), judged(1, *ONE_MORE)]
    assert choose_winner(records) == records[0]
    assert highest(records) == records[1]
    lead = lead_of_trials(records)
    assert lead is not None
    assert lead.standard_error is not None
    assert 0 < lead.difference <= lead.standard_error


def test_a_clear_winner_wins() -> None:
    records = [judged(0, *HALF), judged(1, *ONE_MORE), judged(2, True)]
    assert choose_winner(records) == records[2]
    assert [each.number for each in choose_best(records, 3)] == [2, 1, 0]


def test_of_others_within_one_standard_error_the_best_wins_and_not_the_first() -> None:
    records = [judged(0, False), judged(1, *HALF), judged(2, *ONE_MORE)]
    assert choose_winner(records) == records[2]


def test_the_order_of_the_trials_does_not_matter() -> None:
    shuffling = random.Random(0)
    for default in (HALF, (False,)):
        records = [judged(0, *default), judged(1, *HALF), judged(2, *ONE_MORE), judged(3, *TWO_WRONG), record(4, None)]
        chosen = choose_best(records, 4)
        for _ in range(10):
            shuffling.shuffle(records)
            assert choose_best(records, 4) == chosen


def test_a_default_that_is_pruned_or_not_finite_cannot_win() -> None:
    for default in (record(0, None), record(0, math.nan)):
        assert choose_winner([default, judged(1, *HALF)]) == judged(1, *HALF)


@pytest.mark.parametrize("numbers", [(0,), (1,), (0, 1)])
def test_the_highest_wins_where_an_earlier_version_kept_no_counts(numbers: tuple[int, ...]) -> None:
    records = [judged(0, *HALF), judged(1, *ONE_MORE)]
    records = [replace(each, take_counts=None) if each.number in numbers else each for each in records]
    assert choose_winner(records) == records[1]
    choice = choice_of(records, (), seeds_of(1, records[1]), objective="F1")
    assert choice is not None
    assert choice["sentence"].startswith("The highest F1 on validation wins, because an earlier version")


def test_the_sentence_says_what_one_standard_error_decides() -> None:
    near, clear = [judged(0, *HALF), judged(1, *ONE_MORE)], [judged(0, *HALF), judged(1, True)]
    said = [choice_of(each, (), seeds_of(0, each[0]), objective="F1") for each in (near, clear)]
    assert [each["sentence"] for each in said if each] == [
        "The default configuration (trial 0) wins: trial 1 is ahead by 0.043 of F1 on validation, which is within one "
        "standard error over takes (0.044).",
        "The default configuration (trial 0) does not win: trial 1 is ahead by 0.333 of F1 on validation, which is "
        "more than one standard error over takes (0.102).",
    ]
    assert choice_of(near, (), None, objective="F1") is None
    finalists = [seeds_of(1, clear[1], judged(1, False)), seeds_of(2, *[judged(2, *ONE_MORE)] * 2)]
    of_finalists = choice_of([*clear, judged(2, *ONE_MORE)], finalists, finalists[1], objective="F1")
    assert of_finalists is not None
    assert of_finalists["sentence"].endswith(
        "(0.102). Of the finalists trial 2 has the highest mean F1 over its seeds."
    )


def seeds_of(number: int, *records: TrialRecord) -> Finalist:
    seeds = [SeedTraining(seed=i, record=each, directory=Path(f"{i}")) for i, each in enumerate(records, start=1)]
    return Finalist(number=number, epochs=3, seeds=tuple(seeds))


def test_the_default_wins_among_finalists_within_one_standard_error_of_the_best_mean() -> None:
    default = seeds_of(0, judged(0, *HALF), judged(9, *HALF))
    near, clear = (seeds_of(n, judged(n, *of), judged(9, *of)) for n, of in ((1, ONE_MORE), (2, (True,))))
    assert choose_finalist([near, default]) == default
    assert choose_finalist([clear, near, default]) == clear
    assert choose_finalist([near, clear]) == clear


def test_a_seed_of_the_default_that_failed_lets_the_best_mean_win() -> None:
    default = seeds_of(0, judged(0, *HALF), record(9, None))
    near = seeds_of(1, judged(1, *ONE_MORE), judged(9, *ONE_MORE))
    assert choose_finalist([default, near]) == near
    assert choose_finalist([seeds_of(0, record(0, None)), near]) == near


def test_finalists_of_which_a_seed_has_no_counts_are_chosen_by_the_mean() -> None:
    old = replace(judged(9, *HALF), take_counts=None)
    near = seeds_of(1, judged(1, *ONE_MORE), judged(9, *ONE_MORE))
    assert choose_finalist([seeds_of(0, judged(0, *HALF), old), near]) == near


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
def test_without_counts_the_highest_wins(records: list[TrialRecord], winner: int | None) -> None:
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
def test_without_counts_the_finalist_with_the_highest_mean_wins(finalists: list[Finalist], winner: int | None) -> None:
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
