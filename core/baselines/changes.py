"""Change points in an alternative's scores, so that it finds where an event begins and ends as WaveNet does.

A frame of a channel has one number in place of many statistics. It is divided by its deviation on calibration clips,
because ChangeModel expects values of about 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.decision.change_points import ChangeModel, fit_changes
from core.decision.postprocess import Frames, PostprocessingConfig, smooth
from core.decision.statistic import Judgement
from core.model.scoring import Scores

CHANGES = "change points in its own"
"""The kind of score."""
SMALLEST_SCALE = 1e-9
"""So that a score that never differs on calibration clips is not divided by 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ChangesStatistic:
    """Post-processing with the changes of healthy clips."""

    config: PostprocessingConfig
    """Its window is the smoothing before change points are sought."""
    frame_ms: float
    scales: npt.NDArray[np.float64]
    """(C, 1, 1)"""
    changes: ChangeModel

    def judge(self, scores: Scores) -> Judgement:
        """Judges (N, C, F) scores of clips."""
        vectors = _smoothed(scores, self.config, self.frame_ms) / self.scales
        levels = np.stack([self.changes.sigmas(clip) for clip in vectors])
        return Judgement.of_levels(levels, self.config, frame_ms=self.frame_ms)


def fit_changes_of_scores(
    config: PostprocessingConfig, scores: Scores, takes: Sequence[str], *, frame_ms: float
) -> ChangesStatistic:
    """Fits calibration scores (N, C, F) of these takes. UserError where clips are too short for change points."""
    smoothed = _smoothed(scores, config, frame_ms)
    scales = np.maximum(smoothed.std(axis=(0, 2), keepdims=True)[0], SMALLEST_SCALE)
    changes = fit_changes(smoothed / scales, [1], num_takes=len(set(takes)), frame_ms=frame_ms)
    return ChangesStatistic(config=config, frame_ms=frame_ms, scales=scales, changes=changes)


def _smoothed(scores: Scores, config: PostprocessingConfig, frame_ms: float) -> Frames:
    """(N, C, F, 1)"""
    return smooth(scores, max(1, round(config.window_ms / frame_ms)))[..., None]
