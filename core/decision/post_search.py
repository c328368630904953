"""Evaluates other windows and thresholds on kept frame scores, without training.

W = windows, B = thresholds, N = clips. All figures are of validation; the best of them is optimistic, because the
labels choose it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from core.decision.fitting import fit_statistic
from core.decision.metrics import F1_BY_NAME, auc, best_f1
from core.decision.postprocess import PostprocessingConfig
from core.decision.score_file import ScoredClips
from core.decision.take_counts import TakeCounts

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One choice of window and threshold, and its F1 on validation clips."""

    window_ms: float
    threshold_sigmas: float
    f1: float


@dataclass(frozen=True, kw_only=True)
class F1Surface:
    """F1 of one trial's validation clips over a grid of windows and thresholds; all else is the trial's own."""

    windows_ms: FloatArray
    """(W,) ascending."""
    thresholds_sigmas: FloatArray
    """(B,) ascending."""
    f1: FloatArray
    """(W, B)"""
    own: Point
    """The trial's own point, which need not lie on the grid."""

    @property
    def best(self) -> Point:
        """The highest point of the grid; of equal ones the nearest to the trial's own, on a log axis of windows."""
        tops = np.argwhere(self.f1 == self.f1.max())  # (points, 2)
        windows, own_window = np.log(self.windows_ms), np.log(self.own.window_ms)
        far = [
            np.abs(values[tops[:, axis]] - own) / max(float(np.ptp(values)), 1e-9)
            for axis, (values, own) in enumerate(
                [(windows, own_window), (self.thresholds_sigmas, self.own.threshold_sigmas)]
            )
        ]
        row, column = tops[np.hypot(*far).argmin()]
        return Point(
            window_ms=float(self.windows_ms[row]),
            threshold_sigmas=float(self.thresholds_sigmas[column]),
            f1=float(self.f1[row, column]),
        )


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The figures of one choice of post-processing on the validation clips."""

    values: FloatArray
    """(B,) of the objective at each threshold."""
    auc: float
    """Independent of thresholds; NaN where a class is missing."""


def sweep_thresholds(
    config: PostprocessingConfig,
    thresholds_sigmas: FloatArray,
    scored: Mapping[str, ScoredClips],
    *,
    score: str,
    frame_ms: float,
    objective: str = "f1",
) -> Sweep:
    """The objective, a name of F1_BY_NAME, at each of (B,) thresholds, and AUC, from one pass of post-processing. The
    configuration's own threshold is not used.

    Calibration clips give mu and sigma, and validation clips are judged. No other split is read.
    """
    scores = _validation_scores(config, scored, score=score, frame_ms=frame_ms)
    is_anomalous = scored["validation"].is_anomalous
    values = [F1_BY_NAME[objective](scores, is_anomalous, float(threshold)) for threshold in thresholds_sigmas]
    return Sweep(values=np.array(values), auc=auc(scores, is_anomalous))


def validation_counts(
    config: PostprocessingConfig, scored: Mapping[str, ScoredClips], *, score: str, frame_ms: float, objective: str
) -> TakeCounts:
    """What each validation take adds to the objective at the configuration's own threshold."""
    return TakeCounts.of(
        _validation_scores(config, scored, score=score, frame_ms=frame_ms),
        scored["validation"].is_anomalous,
        scored["validation"].recording_ids,
        threshold=config.threshold_sigmas,
        objective=objective,
    )


def f1_surface(
    config: PostprocessingConfig,
    windows_ms: Iterable[float],
    thresholds_sigmas: Iterable[float],
    scored: Mapping[str, ScoredClips],
    *,
    score: str,
    frame_ms: float,
) -> F1Surface:
    """F1 at every window with every threshold, from one pass of post-processing a window.

    Neither list may be empty. Both are sorted, and duplicates are dropped.
    """
    windows, thresholds = (np.unique(np.array(list(values), float)) for values in (windows_ms, thresholds_sigmas))
    assert windows.size * thresholds.size, "a surface needs a window and a threshold"
    is_anomalous = scored["validation"].is_anomalous

    def f1_of(window_ms: float, at: FloatArray) -> FloatArray:
        scores = _validation_scores(replace(config, window_ms=window_ms), scored, score=score, frame_ms=frame_ms)
        return f1_at_thresholds(scores, is_anomalous, at)

    own_f1 = f1_of(config.window_ms, np.array([config.threshold_sigmas]))
    return F1Surface(
        windows_ms=windows,
        thresholds_sigmas=thresholds,
        f1=np.stack([f1_of(float(window_ms), thresholds) for window_ms in windows]),
        own=Point(window_ms=config.window_ms, threshold_sigmas=config.threshold_sigmas, f1=float(own_f1[0])),
    )


def f1_at_thresholds(scores: FloatArray, is_anomalous: npt.NDArray[np.bool_], thresholds: FloatArray) -> FloatArray:
    """(B,) F1 of (N,) clip scores at each threshold; 0 where nothing is flagged and nothing is anomalous.

    A clip's score is the highest threshold at which it is flagged, so comparing it with each threshold is enough.
    """
    flagged = scores[:, None] >= thresholds  # (N, B)
    hits = (flagged & is_anomalous[:, None]).sum(axis=0)
    f1: FloatArray = 2 * hits / np.maximum(flagged.sum(axis=0) + is_anomalous.sum(), 1)
    return f1


def best_f1_over_windows(
    config: PostprocessingConfig,
    windows_ms: Iterable[float],
    scored: Mapping[str, ScoredClips],
    *,
    score: str,
    frame_ms: float,
) -> float:
    """The highest F1 on validation of any window with any threshold. Optimistic, because the labels choose it."""
    is_anomalous = scored["validation"].is_anomalous
    configs = (replace(config, window_ms=window_ms) for window_ms in windows_ms)
    scores = (_validation_scores(changed, scored, score=score, frame_ms=frame_ms) for changed in configs)
    return max((best_f1(one, is_anomalous) for one in scores), default=0.0)


def _validation_scores(
    config: PostprocessingConfig, scored: Mapping[str, ScoredClips], *, score: str, frame_ms: float
) -> FloatArray:
    """(N,) scores of the validation clips, by the statistic that is fitted to the calibration clips."""
    calibration, validation = scored["calibration"], scored["validation"]
    statistic = fit_statistic(
        config, calibration.scores.of(score), calibration.machines, calibration.recording_ids, frame_ms=frame_ms
    )
    return statistic.judge(validation.scores.of(score), validation.machines).clip_scores
