"""Smoothing and the three steps: hand-made tables, and agreement with a direct version that works on decisions."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decision.postprocess import (
    MIN_SIGMA_BITS,
    Calibration,
    Frames,
    PostprocessingConfig,
    calibrate,
    clip_scores,
    event_thresholds,
    events,
    smooth,
    standardise,
)
from core.errors import UserError


def steps(median: int = 1, gap: int = 1, shortest: int = 1, hysteresis: float = 0.0) -> PostprocessingConfig:
    """Lengths in frames, for frames of 1 ms."""
    return PostprocessingConfig(median_ms=median, gap_ms=gap, min_event_ms=shortest, hysteresis_sigmas=hysteresis)


def thresholds_of(scores: Sequence[float], config: PostprocessingConfig) -> Frames:
    return event_thresholds(np.array(scores, dtype=float), config, frame_ms=1.0)


def event_frames(scores: Sequence[float], config: PostprocessingConfig, theta: float) -> list[bool]:
    """Whether each frame lies in an event, by the code under test."""
    inside = [False] * len(scores)
    for event in events(thresholds_of(scores, config), theta):
        inside[event.first_frame : event.end_frame] = [True] * (event.end_frame - event.first_frame)
    return inside


def runs(active: Sequence[bool]) -> list[tuple[bool, int, int]]:
    """(value, first, end) of each stretch of equal values."""
    stretches, start = [], 0
    for value, members in groupby(active):
        end = start + len(list(members))
        stretches.append((value, start, end))
        start = end
    return stretches


def majority(scores: Sequence[float], theta: float, median: int) -> list[bool]:
    """The median of the decisions."""
    decisions = [score >= theta for score in scores]
    last, half = len(scores) - 1, median // 2
    votes = [sum(decisions[min(max(0, i + k), last)] for k in range(-half, half + 1)) for i in range(len(scores))]
    return [vote > half for vote in votes]


def plain_event_frames(
    scores: Sequence[float], theta: float, median: int, gap: int, shortest: int, hysteresis: float = 0.0
) -> list[bool]:
    """The paper's steps in its order: threshold, median of the decisions, fill short gaps, drop short events. After the
    median, events reach over the frames around them that are above the lower threshold."""
    last = len(scores) - 1
    active = majority(scores, theta, median)
    for value, first, end in runs(majority([score + hysteresis for score in scores], theta, median)):
        if value and any(active[first:end]):
            active[first:end] = [True] * (end - first)
    for value, first, end in runs(active):
        if not value and first > 0 and end <= last and end - first < gap:
            active[first:end] = [True] * (end - first)
    for value, first, end in runs(active):
        if value and end - first < shortest:
            active[first:end] = [False] * (end - first)
    return active


score_lists = st.lists(st.integers(-4, 4).map(float) | st.floats(-4, 4), min_size=1, max_size=40)
spans = st.integers(0, 12)


@pytest.mark.parametrize(
    ("window", "smoothed"),
    [
        (0, [0, 3, 6, 9, 30]),
        (1, [0, 3, 6, 9, 30]),
        (2, [1.5, 4.5, 7.5, 19.5, 19.5]),
        (3, [3, 3, 6, 15, 15]),
        (4, [4.5, 4.5, 12, 12, 12]),
        (5, [9.6] * 5),
        (99, [9.6] * 5),
    ],
)
def test_smoothing_table(window: int, smoothed: list[float]) -> None:
    scores = np.array([0, 3, 6, 9, 30], dtype=np.float32)
    np.testing.assert_allclose(smooth(scores, window), smoothed)
    np.testing.assert_allclose(smooth(np.stack([scores, -scores])[:, None], window)[1, 0], [-x for x in smoothed])


def test_smoothing_lets_no_nan_pass_for_a_number() -> None:
    smoothed = smooth(np.array([1, 2, 3, np.nan, 5, 6, 7]), 2)
    assert np.isnan(smoothed[2:]).all()
    assert np.isnan(smooth(np.array([np.nan, 1, 1]), 3)).all()


MEDIAN = [  # a lone event goes, a lone gap closes, the edges repeat themselves
    ([0, 0, 9, 0, 0], 3, [0, 0, 0, 0, 0]),
    ([9, 9, 0, 9, 9], 3, [9, 9, 9, 9, 9]),
    ([9, 0, 0, 0, 9], 3, [9, 0, 0, 0, 9]),
    ([1, 5, 2, 4, 3], 3, [1, 2, 4, 3, 3]),
    ([1, 5, 2, 4, 3], 5, [1, 2, 3, 3, 3]),
    ([1, 5, 2], 2, [1, 2, 2]),  # two frames are widened to three
    ([1, 5, 2], 1, [1, 5, 2]),
    ([1, 5, 2], 0, [1, 5, 2]),
]
GAP = [  # a gap is filled where it is shorter than the span, between events alone
    ([9, 0, 9, 0, 0, 9], 2, [9, 9, 9, 0, 0, 9]),
    ([9, 0, 9, 0, 0, 9], 3, [9, 9, 9, 9, 9, 9]),
    ([0, 0, 9, 0, 0], 4, [0, 0, 9, 0, 0]),
    ([9, 1, 5], 2, [9, 5, 5]),
    ([9, 0, 9], 1, [9, 0, 9]),
    ([9, 0, 9], 0, [9, 0, 9]),
]
SHORTEST = [  # an event stays where it is at least the span
    ([0, 9, 9, 0, 9, 0], 2, [0, 9, 9, 0, 0, 0]),
    ([0, 9, 9, 0, 9, 0], 3, [0, 0, 0, 0, 0, 0]),
    ([9, 9, 5, 0], 3, [5, 5, 5, 0]),
    ([9, 5, 7, 7], 2, [5, 5, 7, 7]),
    ([9, 0], 1, [9, 0]),
    ([9, 0], 0, [9, 0]),
    ([9, 8], 2, [8, 8]),
    ([9, 8], 3, [-np.inf, -np.inf]),
]


@pytest.mark.parametrize(
    ("step", "scores", "span", "expected"),
    [("median", *row) for row in MEDIAN] + [("gap", *row) for row in GAP] + [("shortest", *row) for row in SHORTEST],
)
def test_each_step_by_itself(step: str, scores: list[float], span: int, expected: list[float]) -> None:
    assert thresholds_of(scores, steps(**{step: span})).tolist() == expected


@given(score_lists, spans, spans, spans, st.sampled_from([0.0, 0.5, 2.0]))
def test_every_threshold_gives_the_events_of_the_plain_version(
    scores: list[float], median: int, gap: int, shortest: int, hysteresis: float
) -> None:
    config = steps(median, gap, shortest, hysteresis)
    odd_median = 2 * (median // 2) + 1
    for theta in [*sorted(set(scores)), -5.0, 5.0, *np.linspace(-4, 4, 7)]:
        plain = plain_event_frames(scores, theta, odd_median, gap, shortest, hysteresis)
        assert event_frames(scores, config, theta) == plain, theta


@given(score_lists, spans, spans, spans)
def test_a_clips_score_is_the_threshold_at_which_its_last_event_vanishes(
    scores: list[float], median: int, gap: int, shortest: int
) -> None:
    thresholds = thresholds_of(scores, steps(median, gap, shortest))
    score = float(clip_scores(thresholds))
    if len(scores) < shortest:
        assert score == -np.inf
        return
    assert events(thresholds, score)
    assert not events(thresholds, np.nextafter(score, np.inf))


@given(score_lists, spans, spans, spans, st.data())
def test_higher_scores_never_lower_a_threshold(
    scores: list[float], median: int, gap: int, shortest: int, data: st.DataObject
) -> None:
    raised = [score + data.draw(st.floats(0, 3)) for score in scores]
    config = steps(median, gap, shortest)
    assert (thresholds_of(raised, config) >= thresholds_of(scores, config)).all()


def test_clips_and_channels_do_not_touch_each_other() -> None:
    scores = np.random.default_rng(0).standard_normal((3, 2, 30))
    config = steps(3, 4, 3, hysteresis=0.5)
    together = event_thresholds(scores, config, frame_ms=1.0)
    for clip in range(3):
        for channel in range(2):
            alone = event_thresholds(scores[clip, channel], config, frame_ms=1.0)
            np.testing.assert_array_equal(together[clip, channel], alone)


def test_lengths_are_rounded_to_frames() -> None:
    config = PostprocessingConfig(median_ms=75, gap_ms=100, min_event_ms=60)
    scores = np.random.default_rng(0).standard_normal(50)
    in_frames = event_thresholds(scores, steps(3, 4, 2), frame_ms=1.0)
    np.testing.assert_array_equal(event_thresholds(scores, config, frame_ms=25.0), in_frames)


def test_a_clip_without_frames_has_no_event_at_any_threshold() -> None:
    thresholds = event_thresholds(smooth(np.zeros((2, 0)), 3), PostprocessingConfig(), frame_ms=25.0)
    assert clip_scores(thresholds).tolist() == [-np.inf, -np.inf]
    assert events(thresholds[0], -1e9) == ()


def test_sigmas_of_a_hand_made_table() -> None:
    calibration = calibrate(np.array([[1.0, 3.0], [5.0, 7.0]]))
    assert (calibration.mu, calibration.sigma) == (4.0, pytest.approx(5**0.5))
    known = Calibration(mu=4.0, sigma=2.0)
    assert standardise(np.array([0.0, 4.0, 7.0]), known, two_sided=False).tolist() == [-2, 0, 1.5]
    assert standardise(np.array([0.0, 4.0, 7.0]), known, two_sided=True).tolist() == [2, 0, 1.5]
    assert calibrate(np.full((2, 5), 4.0)).sigma == MIN_SIGMA_BITS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hysteresis_sigmas", -0.5),
        ("hysteresis_sigmas", float("inf")),
        ("window_ms", 0.0),
        ("window_ms", float("nan")),
        ("threshold_sigmas", float("inf")),
        ("median_ms", -1.0),
        ("gap_ms", float("nan")),
        ("min_event_ms", -0.1),
    ],
)
def test_an_impossible_length_is_named_in_one_line(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"^postprocessing\.{name} must be [^\n]*, but got {value}\.$"):
        PostprocessingConfig(**{name: value})
