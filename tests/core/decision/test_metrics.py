"""Metrics agree with scikit-learn and brute force, with ties and scores of -inf; intervals are over takes."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as reference

from core.decision.metrics import (
    BoolArray,
    FloatArray,
    auc,
    best_f1,
    bootstrap_interval,
    clip_metrics,
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


def overlapping_clips(num_takes: int, clips_a_take: int, seed: int = 0) -> tuple[FloatArray, BoolArray, list[str]]:
    """Half of the takes are anomalous; clips of one take have nearly the same scores."""
    random = np.random.default_rng(seed)
    is_anomalous = np.arange(num_takes) % 2 == 1
    take_scores = random.standard_normal(num_takes) + is_anomalous
    scores = np.repeat(take_scores, clips_a_take) + 0.01 * random.standard_normal(num_takes * clips_a_take)
    take_ids = [f"take{take}" for take in range(num_takes) for _ in range(clips_a_take)]
    return scores, np.repeat(is_anomalous, clips_a_take), take_ids


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def f1_at_half(scores: FloatArray, is_anomalous: BoolArray) -> float:
    return f1_score(scores >= 0.5, is_anomalous)


@pytest.mark.parametrize("metric", [auc, f1_at_half])
def test_interval_holds_the_value_and_repeats_by_seed(metric: Callable[[FloatArray, BoolArray], float]) -> None:
    clips = overlapping_clips(40, 1)
    low, high = bootstrap_interval(metric, *clips, num_resamples=300)
    assert 0 <= low < metric(*clips[:2]) < high <= 1
    assert bootstrap_interval(metric, *clips, num_resamples=300) == (low, high)
    assert bootstrap_interval(metric, *clips, num_resamples=300, seed=1) != (low, high)
    assert width(bootstrap_interval(metric, *clips, num_resamples=300, level=0.5)) < high - low


def test_interval_of_few_takes_is_wider_than_of_as_many_clips_from_takes_of_their_own() -> None:
    scores, is_anomalous, take_ids = overlapping_clips(10, 8)
    by_take = bootstrap_interval(auc, scores, is_anomalous, take_ids, num_resamples=300)
    as_if_independent = [str(clip) for clip in range(len(scores))]
    by_clip = bootstrap_interval(auc, scores, is_anomalous, as_if_independent, num_resamples=300)
    assert width(by_take) > 1.5 * width(by_clip)


def test_interval_draws_whole_takes_and_both_classes() -> None:
    scores, is_anomalous, take_ids = overlapping_clips(6, 3)
    seen: list[tuple[int, int]] = []

    def record(drawn: FloatArray, labels: BoolArray) -> float:
        seen.append((int(labels.sum()), int((~labels).sum())))
        counts = np.array([np.sum(drawn == score) for score in scores])
        assert (counts.reshape(6, 3) == counts.reshape(6, 3)[:, :1]).all()
        return 0.0

    bootstrap_interval(record, scores, is_anomalous, take_ids, num_resamples=50)
    assert set(seen) == {(9, 9)}


def test_interval_of_an_undefined_metric_is_undefined() -> None:
    one_class = np.array([True, True, True])
    interval = bootstrap_interval(auc, np.arange(3.0), one_class, ["a", "b", "c"], num_resamples=20)
    assert all(math.isnan(end) for end in interval)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = 0.760  # area between two normal distributions of deviation 1 whose means differ by 1: Phi(1 / sqrt 2)
    covered = 0
    for seed in range(60):
        low, high = bootstrap_interval(auc, *overlapping_clips(60, 1, seed), num_resamples=100)
        covered += low <= truth <= high
    assert 50 <= covered <= 60
