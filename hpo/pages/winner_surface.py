"""F1 of the winner's validation clips over windows and thresholds: the data of the report's heatmap."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from core.decision.post_search import F1Surface, f1_surface
from core.decision.postprocess import PostprocessingConfig
from core.decision.statistic import Statistic
from hpo.results.judged_trial import judge_trial
from hpo.search.study import OpenStudy

MAX_WINDOWS, MAX_THRESHOLDS = 48, 80
MAX_WINDOWS_OF_INNOVATIONS = 12
"""Each takes a tenth of a second and more."""


def winner_surface(search: OpenStudy, winner: Mapping[str, Any]) -> F1Surface:
    """Over the windows and thresholds that the study searches. `winner` is that of result.json."""
    trial = judge_trial((search.directory / winner["checkpoint"]).parent).with_threshold(winner["threshold_sigmas"])
    statistic = trial.detector.statistic
    clip_ms = statistic.frame_ms * trial.judged["validation"].sigmas.shape[1]
    windows_ms, thresholds = surface_grid(
        search.space.distributions,
        statistic.config,
        frame_ms=statistic.frame_ms,
        clip_ms=clip_ms,
        max_windows=MAX_WINDOWS if isinstance(statistic, Statistic) else MAX_WINDOWS_OF_INNOVATIONS,
    )
    return f1_surface(
        statistic.config,
        windows_ms,
        thresholds,
        trial.scored,
        score=trial.detector.scoring.score,
        frame_ms=statistic.frame_ms,
    )


def surface_grid(
    space: Mapping[str, BaseDistribution],
    own: PostprocessingConfig,
    *,
    frame_ms: float,
    clip_ms: float,
    max_windows: int = MAX_WINDOWS,
) -> tuple[list[float], list[float]]:
    """Windows in ms, all of whole frames, and thresholds in sigmas.

    They span the ranges that are searched, or usual ranges where they are not. The trial's own threshold is among the
    thresholds, so that its point has the F1 that the report gives for it.
    """
    shortest, longest = _range(space.get("window_ms"), or_else=(frame_ms, max(clip_ms, own.window_ms)))
    usual = (min(0.0, own.threshold_sigmas), max(6.0, 2 * own.threshold_sigmas))
    lowest, highest = _range(space.get("threshold_sigmas"), or_else=usual)
    frames = np.geomspace(max(1, shortest / frame_ms), max(1, longest / frame_ms), max_windows).round()
    thresholds = np.append(np.linspace(lowest, highest, MAX_THRESHOLDS), own.threshold_sigmas)
    return list(np.unique(frames) * frame_ms), sorted(set(thresholds.tolist()))


def _range(distribution: BaseDistribution | None, *, or_else: tuple[float, float]) -> tuple[float, float]:
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return distribution.low, distribution.high
    return or_else
