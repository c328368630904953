"""The surface of F1 agrees with judging the clips separately at each point."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.decision.metrics import auc, best_f1, f1_score
from core.decision.post_search import (
    F1Surface,
    Point,
    best_f1_over_windows,
    f1_at_thresholds,
    f1_surface,
    sweep_thresholds,
)
from core.decision.postprocess import PostprocessingConfig, events
from core.decision.score_file import ScoredClips
from core.decision.statistic import fit_scalar
from tests.frame_scores import frame_scores

FRAME_MS = 25.0
CONFIG = PostprocessingConfig(window_ms=200.0, threshold_sigmas=1.5)
WINDOWS_MS = [50.0, 100.0, 200.0, 1000.0]
THRESHOLDS = [-1.0, 0.5, 1.5, 2.25, 4.0, 1e6]


def scored_clips(num_clips: int, *, seed: int, strange_bits: float = 0.0) -> ScoredClips:
    """Clips of two machines in turn; every third clip has high scores for half a second."""
    bits = 4 + 0.3 * np.random.default_rng(seed).standard_normal((num_clips, 2, 60))
    is_anomalous = (np.arange(num_clips) % 3 == 2) & (strange_bits > 0)
    bits[is_anomalous, :, 20:40] += strange_bits
    scores = bits.astype(np.float32)
    return ScoredClips(
        scores=frame_scores(scores, -scores),
        recording_ids=tuple(str(i) for i in range(num_clips)),
        machines=tuple("ab"[i % 2] for i in range(num_clips)),
        conditions=tuple("strange" if is_strange else "normal" for is_strange in is_anomalous),
        is_anomalous=is_anomalous,
    )


def scored() -> dict[str, ScoredClips]:
    return {"calibration": scored_clips(10, seed=0), "validation": scored_clips(24, seed=1, strange_bits=0.25)}


def surface(config: PostprocessingConfig = CONFIG, **changes: Any) -> F1Surface:
    grid = {"windows_ms": WINDOWS_MS, "thresholds_sigmas": THRESHOLDS} | changes
    return f1_surface(config, **grid, scored=scored(), score="surprise", frame_ms=FRAME_MS)


def judged_f1(config: PostprocessingConfig) -> float:
    """The direct computation: fit, judge, and search each clip for events at one threshold."""
    calibration, validation = scored().values()
    statistic = fit_scalar(config, calibration.scores.surprise, calibration.machines, frame_ms=FRAME_MS)
    judged = statistic.judge(validation.scores.surprise, validation.machines)
    flagged = [bool(events(thresholds, config.threshold_sigmas)) for thresholds in judged.thresholds]
    return f1_score(np.array(flagged), validation.is_anomalous)


def test_every_point_is_what_judging_with_its_window_and_threshold_gives() -> None:
    found = surface()
    expected = [
        [judged_f1(replace(CONFIG, window_ms=window, threshold_sigmas=threshold)) for threshold in THRESHOLDS]
        for window in WINDOWS_MS
    ]
    np.testing.assert_allclose(found.f1, expected, atol=1e-12)
    assert len(np.unique(found.f1)) > 4, "the toy must not be flat"
    assert found.own == Point(window_ms=200.0, threshold_sigmas=1.5, f1=pytest.approx(judged_f1(CONFIG)))


def test_the_other_settings_of_post_processing_are_the_trial_s() -> None:
    config = replace(CONFIG, two_sided=True, min_event_ms=400.0)
    found = surface(config, windows_ms=[100.0])
    assert found.own.f1 == pytest.approx(judged_f1(config))
    assert found.f1[0, 2] == pytest.approx(judged_f1(replace(config, window_ms=100.0)))


def test_the_grid_is_sorted_whatever_it_is_given_as() -> None:
    found = surface(windows_ms=iter([200.0, 50.0, 200.0]), thresholds_sigmas=reversed(THRESHOLDS))
    np.testing.assert_array_equal(found.windows_ms, [50.0, 200.0])
    np.testing.assert_array_equal(found.f1, surface().f1[[0, 2]])


def test_a_fine_grid_finds_the_best_of_any_threshold() -> None:
    fine = surface(thresholds_sigmas=np.linspace(0, 10, 10_001))
    best = best_f1_over_windows(CONFIG, WINDOWS_MS, scored(), score="surprise", frame_ms=FRAME_MS)
    assert fine.best.f1 == pytest.approx(best)


def test_f1_at_thresholds_counts_as_f1_of_one_threshold_does() -> None:
    scores = np.array([-np.inf, 0.0, 1.0, 1.0, 2.0])
    is_anomalous = np.array([False, True, False, True, True])
    thresholds = np.array([-np.inf, -5.0, 0.0, 1.0, 1.5, 2.0, 3.0])
    found = f1_at_thresholds(scores, is_anomalous, thresholds)
    assert list(found) == [f1_score(scores >= threshold, is_anomalous) for threshold in thresholds]
    assert found.max() == best_f1(scores, is_anomalous)
    nothing = f1_at_thresholds(scores, np.zeros(5, dtype=bool), np.array([3.0]))
    assert list(nothing) == [0.0]


@pytest.mark.parametrize(
    ("own_window_ms", "own_threshold", "window_ms", "threshold"),
    [(90.0, 2.0, 100.0, 2.0), (1100.0, 1.0, 1000.0, 1.0), (250.0, 1.0, 100.0, 1.0), (400.0, 1.0, 1000.0, 1.0)],
)
def test_of_equally_good_points_the_best_is_the_nearest_to_the_trial_s_own(
    own_window_ms: float, own_threshold: float, window_ms: float, threshold: float
) -> None:
    """In the last two the middle of 100 and 1000 ms is 316 ms, because windows have a logarithmic axis."""
    own = Point(window_ms=own_window_ms, threshold_sigmas=own_threshold, f1=0.5)
    flat = F1Surface(
        windows_ms=np.array([100.0, 1000.0]), thresholds_sigmas=np.array([1.0, 2.0]), f1=np.full((2, 2), 0.9), own=own
    )
    assert flat.best == Point(window_ms=window_ms, threshold_sigmas=threshold, f1=0.9)


def test_a_sweep_is_a_loop_over_thresholds_and_has_the_auc_of_all_of_them() -> None:
    config = replace(CONFIG, fusion="maximum", two_sided=True, sigma="pooled", gap_ms=200.0)
    found = sweep_thresholds(config, np.array(THRESHOLDS), scored(), score="surprise", frame_ms=FRAME_MS)
    assert list(found.values) == [judged_f1(replace(config, threshold_sigmas=threshold)) for threshold in THRESHOLDS]
    calibration, validation = scored().values()
    statistic = fit_scalar(config, calibration.scores.surprise, calibration.machines, frame_ms=FRAME_MS)
    scores = statistic.judge(validation.scores.surprise, validation.machines).clip_scores
    assert found.auc == auc(scores, validation.is_anomalous)
