"""Promises about false alarms are kept on fresh recordings, also where the clips of a recording are alike."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from core.decision.false_alarms import (
    PromisedThreshold,
    ThresholdConfig,
    conformal_threshold,
    counted_threshold,
    promised_threshold,
    tail_threshold,
)
from core.decision.healthy_scores import LOWEST_SIGMAS, HealthyScores, design_effect
from core.decision.metrics import FloatArray
from core.errors import UserError

CLIP_S = 10.0
Draw = Callable[[np.random.Generator, int, int], FloatArray]
"""(K, n) scores of K recordings of n clips."""


def alike(spread: float, tail: float = np.inf) -> Draw:
    """Recordings differ by `spread`, clips within one by 1; `tail` is the degrees of freedom of Student's t."""

    def draw(random: np.random.Generator, num_takes: int, num_clips: int) -> FloatArray:
        noise = random.standard_normal if np.isinf(tail) else lambda size: random.standard_t(tail, size)
        takes: FloatArray = spread * noise((num_takes, 1)) + noise((num_takes, num_clips))
        return takes

    return draw


def healthy(takes: FloatArray) -> HealthyScores:
    return HealthyScores.of(dict(enumerate(takes.tolist())), seconds_a_clip=CLIP_S)


def outcomes(
    draw: Draw, num_takes: int, num_clips: int, config: ThresholdConfig, *, repeats: int = 100
) -> list[tuple[PromisedThreshold, float]]:
    """Thresholds from fresh recordings, each with its true rate of false alarms."""
    random, scores = np.random.default_rng(1), np.sort(draw(np.random.default_rng(0), 20_000, 5).ravel())
    found = []
    for _ in range(repeats):
        promised = promised_threshold(healthy(draw(random, num_takes, num_clips)), config)
        assert promised is not None
        found.append((promised, 1 - np.searchsorted(scores, promised.threshold_sigmas) / len(scores)))
    return found


DRAWS = [alike(0.0), alike(1.0), alike(0.5, tail=3)]


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize(("num_takes", "num_clips"), [(19, 1), (24, 1), (24, 6)])
def test_the_mean_of_a_conformal_promise_is_at_most_the_rate(draw: Draw, num_takes: int, num_clips: int) -> None:
    found = outcomes(draw, num_takes, num_clips, ThresholdConfig(false_alarms=0.05))
    assert all(promised.is_promise and promised.rule == "conformal" for promised, _ in found)
    assert np.mean([rate for _, rate in found]) <= 0.058  # 0.05 and two standard errors


def test_a_conformal_promise_gives_nothing_away_where_every_recording_is_a_clip() -> None:
    found = outcomes(alike(0.0), 19, 1, ThresholdConfig(false_alarms=0.05), repeats=400)
    assert np.mean([rate for _, rate in found]) == pytest.approx(0.05, abs=0.008)


@pytest.mark.parametrize("draw", [alike(0.0), alike(0.3), alike(0.3, tail=3)])
def test_a_counted_promise_is_broken_in_at_most_five_of_a_hundred_cases(draw: Draw) -> None:
    config = ThresholdConfig(false_alarms_per_hour=12)
    found = outcomes(draw, 40, 20, config, repeats=400)
    kept = [rate <= config.rate(CLIP_S) for promised, rate in found if promised.rule == "counted"]
    assert len(kept) > 390
    assert np.mean(kept) >= 0.93  # 0.95 less two standard errors


@pytest.mark.parametrize(("num_takes", "is_promise"), [(18, False), (19, True)])
def test_below_one_over_alpha_minus_one_recordings_there_is_no_promise(num_takes: int, is_promise: bool) -> None:
    scores = healthy(np.random.default_rng(0).standard_normal((num_takes, 3)))
    promised = promised_threshold(scores, ThresholdConfig(false_alarms=0.05))
    assert promised is not None
    assert promised.is_promise == is_promise
    assert promised.sentence.startswith("A promise: at most 5 % of healthy clips" if is_promise else "An estimate and")
    assert "needs 19 healthy recordings" in promised.sentence


@pytest.mark.parametrize(("per_hour", "is_promise"), [(2.99, False), (3.0, True)])
def test_a_rate_below_three_over_the_hours_is_no_promise(per_hour: float, is_promise: bool) -> None:
    scores = healthy(np.random.default_rng(0).standard_normal((360, 1)))
    assert scores.hours == pytest.approx(1)
    promised = promised_threshold(scores, ThresholdConfig(false_alarms_per_hour=per_hour))
    assert promised is not None
    assert promised.is_promise == is_promise
    assert ("with 95 % confidence" in promised.sentence) == is_promise
    assert "needs 1 h" in promised.sentence


def test_the_threshold_of_each_rule_falls_as_more_alarms_are_allowed() -> None:
    scores, by_rule = healthy(alike(0.5)(np.random.default_rng(0), 50, 8)), dict[str, list[float]]()
    for name, rates in (("false_alarms", np.geomspace(0.0005, 0.5, 30)), ("false_alarms_per_hour", (4, 9, 30, 90))):
        for rate in rates:
            promised = promised_threshold(scores, ThresholdConfig(**{name: float(rate)}))
            assert promised is not None
            by_rule.setdefault(f"{name} {promised.rule}", []).append(promised.threshold_sigmas)
    assert by_rule.keys() >= {"false_alarms conformal", "false_alarms tail", "false_alarms_per_hour counted"}
    for thresholds in by_rule.values():
        assert thresholds == sorted(thresholds, reverse=True)


def test_a_conformal_threshold_is_that_of_the_p_values() -> None:
    """A clip that reaches it has a p-value of at most the rate, and one at the next score below has not."""
    takes = np.random.default_rng(2).standard_normal((30, 4)).round(1)  # with ties
    threshold = conformal_threshold(healthy(takes), 0.1)
    assert threshold is not None

    def p_value(score: float) -> float:
        return float((1 + (takes >= score).mean(axis=1).sum()) / (1 + len(takes)))

    assert p_value(threshold) <= 0.1 < p_value(takes[takes < threshold].max())


@pytest.mark.parametrize("shape", [0.0, 0.3])
def test_a_tail_is_the_distributions_quantile(shape: float) -> None:
    takes = stats.genpareto.rvs(shape, size=(4000, 1), random_state=0)
    threshold = tail_threshold(healthy(takes), 1e-4)
    two_errors = 0.5  # of a shape from 400 scores
    assert threshold == pytest.approx(stats.genpareto.isf(1e-4, shape), rel=two_errors)


def test_the_tail_of_scores_with_an_end_does_not_end() -> None:
    takes = np.random.default_rng(0).random((60, 1))
    threshold = tail_threshold(healthy(takes), 1e-6)
    assert threshold is not None
    assert threshold > 1.2


def test_few_or_equal_clips_do_not_crash() -> None:
    config = ThresholdConfig(false_alarms=0.01)
    assert promised_threshold(healthy(np.zeros((0, 1))), config) is None
    assert promised_threshold(healthy(np.ones((3, 1))), config) is None
    of_equal = promised_threshold(healthy(np.ones((6, 1))), config)
    assert of_equal is not None
    assert 1 < of_equal.threshold_sigmas < 1.001
    assert counted_threshold(healthy(np.zeros((0, 1))), 0.5) is None


def test_a_clip_without_an_event_counts_as_heard_and_has_a_finite_threshold() -> None:
    scores = HealthyScores.of({"a": [-np.inf, 1.0], "b": [], "c": [-np.inf]}, seconds_a_clip=1.0)
    assert scores.takes == ((1.0, LOWEST_SIGMAS), (LOWEST_SIGMAS,))
    threshold = conformal_threshold(scores, 0.99)
    assert threshold is not None
    assert np.isfinite(threshold)


def test_clips_that_are_alike_count_once() -> None:
    random = np.random.default_rng(0)
    assert design_effect(healthy(random.standard_normal((50, 10)))) == pytest.approx(1, abs=0.3)
    assert design_effect(healthy(np.repeat(random.standard_normal((50, 1)), 10, axis=1))) == pytest.approx(10)
    assert design_effect(healthy(random.standard_normal((50, 1)))) == 1
    assert design_effect(healthy(random.standard_normal((1, 40)))) == 40


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "threshold must hold one of false_alarms and false_alarms_per_hour"),
        ({"false_alarms": 0.1, "false_alarms_per_hour": 1.0}, "threshold must hold one of"),
        ({"false_alarms": 0.0}, "threshold.false_alarms must be above 0 and below 1, but got 0."),
        ({"false_alarms": 1.0}, "threshold.false_alarms must be above 0 and below 1, but got 1."),
        ({"false_alarms_per_hour": -1.0}, "threshold.false_alarms_per_hour must be above 0 and finite, but got -1."),
    ],
)
def test_a_promise_that_cannot_be_is_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        ThresholdConfig(**options)


def test_more_alarms_than_clips_are_refused() -> None:
    with pytest.raises(UserError, match=r"must be fewer than the clips of an hour \(360\), but got 400"):
        ThresholdConfig(false_alarms_per_hour=400).rate(CLIP_S)
