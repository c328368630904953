"""Intervals and the test of chance hold for few recordings and for clips that depend on each other."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binomtest

from core.decision.chance import (
    MAX_EXACT_PAIRS,
    SIGNIFICANT,
    chance_p_value,
    chance_test,
    enough_recordings,
    paired_p_value,
    scores_of_recordings,
    smallest_p_value,
)
from core.decision.exact_figures import (
    exact_figures,
    f1_interval,
    f1_of_rates,
    num_independent_pairs,
    share_interval,
)
from core.decision.metrics import BoolArray, FloatArray, auc, f1_score


@pytest.mark.parametrize(("hits", "num_units"), [(0, 1), (1, 1), (3, 3), (0, 7), (4, 7), (19, 20)])
def test_interval_of_whole_counts_is_scipys(hits: int, num_units: int) -> None:
    expected = binomtest(hits, num_units).proportion_ci(0.95, method="exact")
    assert share_interval(hits / num_units, num_units) == pytest.approx((expected.low, expected.high))


def test_three_of_three_prove_little() -> None:
    figures = exact_figures(np.array([3.0, 4, 5, 0, 1, 2]), np.arange(6) < 3, list("abcdef"), 2.5, faults_last=False)
    low = 0.025 ** (1 / 3)
    assert figures.recall_interval == pytest.approx((low, 1))
    assert figures.false_alarms_interval == pytest.approx((0, 1 - low))
    assert figures.f1_interval == pytest.approx((2 * low / (low + 1 + 1 - low), 1))
    assert figures.auc_interval == pytest.approx((low, 1))
    assert figures.chance.p_value == pytest.approx(1 / 20)
    assert (figures.anomalous.num_flagged, figures.normal.num_flagged) == (3, 0)


def takes_of(num_takes: int, clips_a_take: int, *, seed: int, spread: float) -> tuple[FloatArray, BoolArray, list[str]]:
    """Half of the takes are anomalous; `spread` is that of clips within a take, whose own spread is 1."""
    random = np.random.default_rng(seed)
    is_anomalous = np.arange(num_takes) % 2 == 1
    scores = np.repeat(random.standard_normal(num_takes) + is_anomalous, clips_a_take)
    scores = scores + spread * random.standard_normal(len(scores))
    takes = [f"take{take}" for take in range(num_takes) for _ in range(clips_a_take)]
    return scores, np.repeat(is_anomalous, clips_a_take), takes


def test_more_clips_of_the_same_takes_prove_no_more() -> None:
    of_one, of_many = (
        exact_figures(*takes_of(12, clips, seed=1, spread=0.0), 0.5, faults_last=False) for clips in (1, 9)
    )
    assert of_one == of_many


@pytest.mark.parametrize(("clips_a_take", "spread"), [(1, 0.0), (5, 0.3), (5, 2.0)])
def test_intervals_cover_the_truth_of_takes_at_least_as_often_as_they_say(clips_a_take: int, spread: float) -> None:
    scores, is_anomalous, _ = takes_of(40_000, clips_a_take, seed=0, spread=spread)
    flagged = scores >= 0.5
    truth = {
        "recall": flagged[is_anomalous].mean(),
        "false_alarms": flagged[~is_anomalous].mean(),
        "f1": f1_score(flagged, is_anomalous),
        "auc": auc(scores, is_anomalous),
    }
    missed = dict.fromkeys(truth, 0)
    for seed in range(1, 201):
        figures = exact_figures(*takes_of(16, clips_a_take, seed=seed, spread=spread), 0.5, faults_last=False)
        for name, value in truth.items():
            low, high = getattr(figures, f"{name}_interval")
            missed[name] += not low <= value <= high
    assert max(missed.values()) <= 15, missed  # 10 are expected of a 95 % interval


def test_f1_follows_from_the_rates() -> None:
    scores, is_anomalous, _ = takes_of(40, 1, seed=3, spread=0.0)
    flagged = scores >= 0.5
    rates = flagged[is_anomalous].mean(), flagged[~is_anomalous].mean()
    assert f1_of_rates(*rates, prevalence=is_anomalous.mean()) == pytest.approx(f1_score(flagged, is_anomalous))
    low, high = f1_interval((0.5, 0.9), (0.1, 0.4), prevalence=0.5)
    assert (low, high) == (f1_of_rates(0.5, 0.4, prevalence=0.5), f1_of_rates(0.9, 0.1, prevalence=0.5))


@pytest.mark.parametrize("seed", range(5))
def test_p_value_is_the_share_of_labellings_that_rank_as_high(seed: int) -> None:
    scores = np.random.default_rng(seed).permutation(8).astype(float)
    rank_sums = [sum(scores[list(rows)]) for rows in combinations(range(8), 3)]
    share = np.mean([total >= scores[:3].sum() for total in rank_sums])
    assert chance_p_value(scores[:3], scores[3:]) == pytest.approx(share)


def test_equal_scores_count_against_the_detector() -> None:
    assert chance_p_value(np.full(5, -np.inf), np.full(5, -np.inf)) == 1
    assert chance_p_value(np.array([1.0, 1, 2]), np.array([1.0, 1, 1])) >= 0.5  # of all labellings, half
    assert chance_p_value(np.array([2.0, 2, 2]), np.array([1.0, 1, -np.inf])) == pytest.approx(1 / 20)


def test_p_value_of_many_recordings_takes_no_time_and_agrees_with_the_exact_one() -> None:
    scores, is_anomalous, _ = takes_of(198, 1, seed=2, spread=0.0)
    exact = chance_p_value(scores[is_anomalous] - 0.7, scores[~is_anomalous])
    other_scores = np.append(scores, scores + 1e-9), np.append(is_anomalous, is_anomalous)
    assert other_scores[1].sum() ** 2 > MAX_EXACT_PAIRS
    assert 0.05 < exact < 0.5
    assert chance_p_value(other_scores[0][other_scores[1]] - 0.7, other_scores[0][~other_scores[1]]) < exact


@pytest.mark.parametrize(("anomalous", "normal"), [([], [1.0]), ([1.0], []), ([math.nan], [1.0])])
def test_without_a_class_or_with_nan_nothing_is_proven(anomalous: list[float], normal: list[float]) -> None:
    assert chance_p_value(np.array(anomalous), np.array(normal)) == 1


def test_a_recordings_score_does_not_grow_with_its_clips() -> None:
    """The highest of five clips beats a single clip of the same sound in five of six cases."""
    random = np.random.default_rng(0)
    of_one, of_five = (random.standard_normal((4000, clips)) for clips in (1, 5))
    wins = scores_of_recordings(list(of_five), faults_last=True) > scores_of_recordings(list(of_one), faults_last=True)
    assert wins.mean() == pytest.approx(0.5, abs=0.03)


def test_enough_recordings_are_the_fewest_that_can_be_significant() -> None:
    assert enough_recordings(0, 0) == (3, 3)
    assert enough_recordings(1, 30) == (1, 30)
    for given in ((1, 2), (2, 2), (4, 1)):
        needed = enough_recordings(*given)
        assert smallest_p_value(*needed) <= SIGNIFICANT
        assert all(need >= there for need, there in zip(needed, given, strict=True))


def test_a_class_without_clips_has_no_figures() -> None:
    figures = exact_figures(np.arange(3.0), np.array([True, True, True]), ["a", "b", "c"], 1.0, faults_last=False)
    assert math.isnan(figures.false_alarms)
    assert all(math.isnan(end) for end in (*figures.false_alarms_interval, *figures.f1_interval, *figures.auc_interval))
    assert figures.chance.p_value == 1


def test_a_recording_of_both_labels_is_one_independent_draw() -> None:
    takes = [f"take {index}" for index in range(5)]
    assert num_independent_pairs(takes, takes) == 2
    assert num_independent_pairs(takes, ["others", *takes[:1]]) == 2
    assert num_independent_pairs(["a", "b"], ["c", "d", "e"]) == 2
    assert num_independent_pairs(takes[:1], takes[:1]) == 0


@pytest.mark.parametrize("num_takes", [1, 3, 5])
def test_a_perfect_detector_of_injected_faults_has_the_p_value_of_its_takes(num_takes: int) -> None:
    """As often as chance has the fault above each recording by itself: a recording and its copy are not two draws."""
    scores = np.concatenate([np.zeros(num_takes), np.ones(num_takes)])
    takes = 2 * [f"take {index}" for index in range(num_takes)]
    figures = exact_figures(scores, scores > 0, takes, 0.5, faults_last=False)
    assert figures.chance.is_paired
    assert figures.chance.p_value == pytest.approx(0.5**num_takes)
    assert math.isnan(figures.auc_interval[0]) == (num_takes == 1)


def test_equal_scores_of_pairs_count_against_the_detector() -> None:
    assert paired_p_value(np.ones(4), np.ones(4)) == 1.0
    assert paired_p_value(np.array([]), np.array([])) == 1.0
    assert paired_p_value(np.array([np.nan]), np.array([0.0])) == 1.0


@pytest.mark.parametrize(
    ("num_partly", "num_faulty", "num_normal", "expected"),
    [
        (4, 0, 3, (False, 4, 3)),  # p 1/35 at best, by pairs 1/16
        (8, 0, 3, (True, 8, 8)),  # by pairs 1/256, by classes 1/165
        (2, 3, 5, (False, 5, 5)),
        (5, 0, 0, (True, 5, 5)),
        (1, 0, 0, (True, 1, 1)),
    ],
)
def test_a_partly_faulty_recording_is_in_the_test_once(
    num_partly: int, num_faulty: int, num_normal: int, expected: tuple[bool, int, int]
) -> None:
    faulty = {f"f{i}": np.array([9.0]) for i in range(num_partly + num_faulty)}
    normal = {f"n{i}": np.array([0.0]) for i in range(num_normal)} | {
        f"f{i}": np.array([0.0]) for i in range(num_partly)
    }
    found = chance_test(faulty, normal)
    assert (found.is_paired, found.num_anomalous, found.num_normal) == expected
    assert found.p_value == pytest.approx(smallest_p_value(*expected[1:], is_paired=expected[0]))


def test_chance_proves_recordings_of_both_labels_as_seldom_as_it_says() -> None:
    """Recordings differ, and both parts of one sound alike: 4 partly faulty ones and 3 healthy ones are not 4 and 7."""
    random, num_proven = np.random.default_rng(0), 0
    for _ in range(600):
        sounds = random.standard_normal(7)
        faulty = {f"{i}": sounds[[i]] + 0.01 * random.standard_normal(1) for i in range(4)}
        normal = {f"{i}": sounds[[i]] for i in range(7)}
        num_proven += chance_test(faulty, normal).p_value <= SIGNIFICANT
    assert num_proven / 600 <= SIGNIFICANT
