"""Metrics agree with scikit-learn and brute force, with ties and scores of -inf."""

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from core.decision.metrics import (
    BoolArray,
    FloatArray,
    auc,
    balanced_f1,
    best_f1,
    clip_metrics,
    expected_f1,
    f1_score,
    partial_auc,
)

CASES = range(40)


def random_clips(case: int) -> tuple[FloatArray, BoolArray]:
    """Up to 60 clips of both classes, most scores tied with others, some of them -inf."""
    random = np.random.default_rng(case)
    num_clips = int(random.integers(2, 60))
    is_anomalous = random.random(num_clips) < random.uniform(0.1, 0.9)
    is_anomalous[:2] = [True, False]
    scores = np.round(random.standard_normal(num_clips) + is_anomalous, int(random.integers(0, 3)))
    scores[random.random(num_clips) < 0.2] = -np.inf
    return scores, is_anomalous


def finite(scores: FloatArray) -> FloatArray:
    """Finite numbers of the same order, which scikit-learn accepts."""
    return np.where(np.isfinite(scores), scores, -1e6)


@pytest.mark.parametrize("case", CASES)
def test_areas_are_scikit_learns(case: int) -> None:
    scores, is_anomalous = random_clips(case)
    assert auc(scores, is_anomalous) == pytest.approx(reference.roc_auc_score(is_anomalous, finite(scores)))
    expected = reference.roc_auc_score(is_anomalous, finite(scores), max_fpr=0.1)
    assert partial_auc(scores, is_anomalous) == pytest.approx(expected)


@pytest.mark.parametrize("case", CASES)
def test_decisions_are_measured_as_scikit_learn_does(case: int) -> None:
    scores, is_anomalous = random_clips(case)
    threshold = float(np.random.default_rng(case).uniform(-2, 3))
    found = clip_metrics(scores, is_anomalous, threshold)
    flagged = scores >= threshold
    assert found.f1 == pytest.approx(reference.f1_score(is_anomalous, flagged, zero_division=0))
    assert found.precision == pytest.approx(reference.precision_score(is_anomalous, flagged, zero_division=0))
    assert found.recall == pytest.approx(reference.recall_score(is_anomalous, flagged, zero_division=0))
    assert found.prevalence == pytest.approx(is_anomalous.mean())
    everything = np.ones_like(is_anomalous)
    assert found.f1_flag_everything == pytest.approx(reference.f1_score(is_anomalous, everything))
    assert found.num_clips == len(scores)


def test_a_clip_at_the_threshold_is_flagged() -> None:
    scores, is_anomalous = np.array([1.0, 3.0]), np.array([False, True])
    assert clip_metrics(scores, is_anomalous, 3.0).recall == 1
    assert clip_metrics(scores, is_anomalous, math.nextafter(3.0, 4.0)).recall == 0


@pytest.mark.parametrize("case", CASES)
def test_best_f1_is_that_of_the_best_of_all_thresholds(case: int) -> None:
    scores, is_anomalous = random_clips(case)
    thresholds = scores[np.isfinite(scores)]
    by_hand = max((reference.f1_score(is_anomalous, scores >= theta) for theta in thresholds), default=0.0)
    assert best_f1(scores, is_anomalous) == pytest.approx(by_hand)


def test_best_f1_cannot_flag_a_clip_in_which_no_event_survives() -> None:
    assert best_f1(np.array([-np.inf, -np.inf]), np.array([True, True])) == 0
    assert best_f1(np.array([-np.inf, 1.0]), np.array([True, True])) == pytest.approx(2 / 3)
    assert best_f1(np.zeros(0), np.zeros(0, dtype=bool)) == 0


@pytest.mark.parametrize("label", [True, False])
def test_one_class_alone_has_no_area(label: bool) -> None:
    scores, is_anomalous = np.array([1.0, 2.0]), np.array([label, label])
    assert math.isnan(auc(scores, is_anomalous))
    assert math.isnan(partial_auc(scores, is_anomalous))
    found = clip_metrics(scores, is_anomalous, 1.5)
    assert math.isnan(found.auc)
    assert found.f1 == pytest.approx(2 / 3 if label else 0)


def test_a_score_that_is_not_a_number_is_not_ranked() -> None:
    scores, is_anomalous = np.array([1.0, np.nan, 3.0]), np.array([False, True, True])
    assert math.isnan(auc(scores, is_anomalous))
    assert math.isnan(partial_auc(scores, is_anomalous))


@pytest.mark.parametrize("case", CASES)
def test_expected_f1_is_f1_where_no_score_could_be_on_the_other_side(case: int) -> None:
    scores, is_anomalous = random_clips(case)
    threshold = float(np.random.default_rng(case).uniform(-2, 3))
    plain = f1_score(scores >= threshold, is_anomalous)
    assert expected_f1(scores, is_anomalous, threshold, blur=1e-9) == pytest.approx(plain)
    assert 0 <= expected_f1(scores, is_anomalous, threshold) <= 1


def test_expected_f1_is_that_of_the_mean_counts_over_blurred_scores() -> None:
    scores, is_anomalous = np.array([0.5, 2.0, 2.9, 3.1, 8.0]), np.array([False, False, True, False, True])
    noise = np.random.default_rng(0).normal(0, 0.3, (100_000, 5))
    flagged = (np.sinh(np.arcsinh(scores) + noise) >= 3).mean(axis=0)
    expected = 2 * flagged[is_anomalous].sum() / (flagged.sum() + 2)
    assert expected_f1(scores, is_anomalous, 3.0, blur=0.3) == pytest.approx(expected, abs=2e-3)


def test_a_clip_that_just_passes_the_threshold_changes_expected_f1_by_little() -> None:
    is_anomalous = np.array([False, False, True, True])
    below, above = (np.array([0.0, 1.0, score, 9.0]) for score in (2.999, 3.001))
    assert f1_score(above >= 3, is_anomalous) - f1_score(below >= 3, is_anomalous) == pytest.approx(1 / 3)
    assert 0 < expected_f1(above, is_anomalous, 3) - expected_f1(below, is_anomalous, 3) < 1e-3


def test_expected_f1_rises_with_the_score_of_a_fault_and_falls_with_that_of_a_healthy_clip() -> None:
    is_anomalous = np.array([False, True])
    assert expected_f1(np.array([0.0, 3.5]), is_anomalous, 3) > expected_f1(np.array([0.0, 3.0]), is_anomalous, 3)
    assert expected_f1(np.array([3.0, 9.0]), is_anomalous, 3) < expected_f1(np.array([2.0, 9.0]), is_anomalous, 3)


@pytest.mark.parametrize("score", [-np.inf, np.nan])
def test_a_clip_without_a_score_is_never_expected_to_be_flagged(score: float) -> None:
    is_anomalous = np.array([False, True])
    assert expected_f1(np.array([score, score]), is_anomalous, -5) == 0
    assert expected_f1(np.array([score, 99.0]), is_anomalous, 3) == pytest.approx(1)
    assert expected_f1(np.zeros(0), np.zeros(0, bool), 3) == 0


@pytest.mark.parametrize("case", range(5))
def test_balanced_f1_is_expected_f1_of_as_many_normal_clips(case: int) -> None:
    random = np.random.default_rng(case)
    anomalous, normal = random.normal(2, 1, 12), random.normal(0, 1, 4)
    once, thrice = (np.concatenate([anomalous, *times * [normal]]) for times in (1, 3))
    expected = expected_f1(thrice, np.arange(24) < 12, 1.0)
    assert balanced_f1(once, np.arange(16) < 12, 1.0) == pytest.approx(expected)
    assert balanced_f1(thrice, np.arange(24) < 12, 1.0) == expected, "nothing changes where they are as many"


def test_flagging_everything_is_worth_no_more_where_most_clips_are_anomalous() -> None:
    """A detector that misses one fault of eight and raises no alarm is better than one that flags all clips."""
    is_anomalous = np.arange(10) < 8
    careful = np.where(is_anomalous, 9.0, -9.0) * np.where(np.arange(10) == 0, -1, 1)
    everything = np.full(10, 9.0)
    assert balanced_f1(everything, is_anomalous, 1.0) == pytest.approx(2 / 3, abs=1e-6)
    assert balanced_f1(careful, is_anomalous, 1.0) == pytest.approx(14 / 15, abs=1e-6)
    assert balanced_f1(everything, ~is_anomalous, 1.0) == pytest.approx(expected_f1(everything, ~is_anomalous, 1.0))


@pytest.mark.parametrize("is_anomalous", [[True, True], [False, False]])
def test_balanced_f1_of_one_class_is_expected_f1(is_anomalous: list[bool]) -> None:
    scores = np.array([2.0, 0.5])
    assert balanced_f1(scores, np.array(is_anomalous), 1.0) == expected_f1(scores, np.array(is_anomalous), 1.0)
