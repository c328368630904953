"""Frame scores to decisions: smoothing window, sigmas, and the three steps of Hayashi and others (EUSIPCO 2018).

The paper thresholds at mu + beta * sigma, then filters the decisions with a median, fills short gaps, and drops short
events. All three steps are monotone: a lower threshold never removes an event. They are therefore applied to the scores
themselves, for every threshold at once: the median as a median, the filling of gaps as a grey closing, the dropping of
short events as a grey opening. The result is, for each frame, the highest threshold at which it still belongs to an
event. Its maximum over the clip is the clip's score. F = frames, N = clips; arrays are (..., F).

Hysteresis, which the paper has not, lets an event reach further: over all frames around it that are at most so many
sigmas below the threshold. It is monotone, too, and for every threshold at once a grey reconstruction (Vincent,
"Morphological grayscale reconstruction in image analysis", IEEE Transactions on Image Processing 1993).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from core.errors import UserError

Frames = npt.NDArray[np.float64]

FUSIONS = ("mean", "weighted", "maximum")
SIGMAS = ("machine", "pooled")
BASELINES = ("machine", "clip", "both")
STATISTICS = ("all", "relative", "network", "spectrum")
CHOICES = {"fusion": FUSIONS, "sigma": SIGMAS, "baseline": BASELINES, "statistics": STATISTICS}
MIN_SIGMA_BITS = 1e-4
"""Floor of sigma: a smaller spread is rounding error."""


@dataclass(frozen=True, kw_only=True)
class PostprocessingConfig:
    """From frame scores to events. Lengths are rounded to whole frames."""

    window_ms: float = 500.0
    """Length of the moving average. A window as long as the clip, or longer, gives the clip's mean. Of the score
    `innovations`, how long the stretches are that are compared with the machine's normal sound."""
    threshold_sigmas: float = 3.0
    """beta: frames from mu + beta * sigma upwards are anomalous."""
    hysteresis_sigmas: float = 0.0
    """Frames next to an event belong to it down to this far below the threshold, within their clip. It moves where an
    event begins and ends. The score of a clip stays as it is, unless its event is too short without it."""
    median_ms: float = 75.0
    """Span of the median filter over decisions. One frame or less turns it off."""
    gap_ms: float = 100.0
    """Gaps between events are filled where they are shorter than this."""
    min_event_ms: float = 50.0
    """Events are dropped where they are shorter than this."""
    two_sided: bool = False
    """Whether scores far below mu are anomalous, too: frames that are too predictable."""
    fusion: Literal["mean", "weighted", "maximum"] = "mean"
    """Of microphones: their mean, their mean weighted by 1 / variance on normal sound, or the highest of them."""
    sigma: Literal["machine", "pooled"] = "machine"
    """Whether each machine has its own sigma, or all share the root of their mean variance. Each has its own mu. A few
    takes of one machine estimate its sigma badly; all machines together estimate it better."""
    baseline: Literal["machine", "clip", "both"] = "machine"
    """What a score is compared with: its machine's normal sound, or what is usual in its own clip, its median. The
    latter finds changes within a clip in any take, and misses a fault that lasts for the whole clip. `both`, for the
    score `innovations` alone, takes the higher of the two."""
    statistics: Literal["all", "relative", "network", "spectrum"] = "all"
    """Of the score `innovations`, which are compared with the machine's normal sound, and in which changes are sought
    within a clip. `relative` leaves out the level, for recordings whose levels are not comparable; `network` also
    leaves out the spectrum of the sound itself; `spectrum` has hardly more than that."""

    def __post_init__(self) -> None:
        if not self.window_ms > 0:
            raise UserError(f"postprocessing.window_ms must be above 0, but got {self.window_ms}.")
        for name in ("threshold_sigmas", "hysteresis_sigmas"):
            if not np.isfinite(getattr(self, name)):
                raise UserError(f"postprocessing.{name} must be finite, but got {getattr(self, name)}.")
        for name in ("hysteresis_sigmas", "median_ms", "gap_ms", "min_event_ms"):
            if not getattr(self, name) >= 0:
                raise UserError(f"postprocessing.{name} must be 0 or more, but got {getattr(self, name)}.")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise UserError(
                    f"postprocessing.{name} must be one of {', '.join(choices)}, but got {getattr(self, name)!r}."
                )


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Mean and standard deviation of smoothed scores on normal audio that the network was not trained on."""

    mu: float
    """Bits per sample."""
    sigma: float
    """Bits per sample, never below MIN_SIGMA_BITS."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """A flagged stretch of a clip in frames; the first is included, the end is not."""

    first_frame: int
    end_frame: int


def smooth(scores: npt.NDArray[np.floating], window_frames: int) -> Frames:
    """Moving average of (..., F) over full windows. Frames near an edge take the nearest full window.

    A window of F frames or more gives every frame the clip's mean. A NaN makes the rest of the clip NaN.
    """
    num_frames = scores.shape[-1]
    window = min(max(1, window_frames), num_frames)
    sums = np.cumsum(scores, axis=-1, dtype=np.float64)
    sums = np.concatenate([np.zeros_like(sums[..., :1]), sums], axis=-1)
    means = (sums[..., window:] - sums[..., : num_frames - window + 1]) / window
    nearest = np.clip(np.arange(num_frames) - (window - 1) // 2, 0, num_frames - window)
    smoothed: Frames = means[..., nearest]
    return smoothed


def calibrate(smoothed: Frames) -> Calibration:
    """mu and sigma over all clips and frames of calibration audio."""
    return Calibration(mu=float(smoothed.mean()), sigma=max(float(smoothed.std()), MIN_SIGMA_BITS))


def standardise(smoothed: Frames, calibration: Calibration, *, two_sided: bool) -> Frames:
    """Smoothed scores in sigmas above mu, or away from mu on either side."""
    sigmas = (smoothed - calibration.mu) / calibration.sigma
    return np.abs(sigmas) if two_sided else sigmas


def event_thresholds(sigmas: Frames, config: PostprocessingConfig, *, frame_ms: float) -> Frames:
    """(..., F) scores to, for each frame, the highest threshold at which it lies in an event that survives.

    -inf in a clip that is shorter than the shortest event. Frames outside the clip do not count as anomalous.
    """
    median = 2 * (round(config.median_ms / frame_ms) // 2) + 1  # odd, so that the median is one of the values
    gap, shortest = (max(1, round(ms / frame_ms)) for ms in (config.gap_ms, config.min_event_ms))
    margin = gap + shortest
    levels = ndimage.median_filter(sigmas, size=_last_axis(sigmas, median), mode="nearest")
    if config.hysteresis_sigmas:
        levels = _reconstructed(levels, levels + config.hysteresis_sigmas)
    levels = np.pad(levels, [(0, 0)] * (sigmas.ndim - 1) + [(margin, margin)], constant_values=-np.inf)
    levels = ndimage.grey_closing(levels, size=_last_axis(sigmas, gap))
    levels = ndimage.grey_opening(levels, size=_last_axis(sigmas, shortest))
    survivors: Frames = levels[..., margin:-margin]
    return survivors


def _reconstructed(levels: Frames, limits: Frames) -> Frames:
    """(..., F) levels, each spread to both sides, where no frame rises above its limit. `limits` are (..., F)."""
    reached = levels.copy()
    for along_time, limit in ((reached, limits), (reached[..., ::-1], limits[..., ::-1])):
        for frame in range(1, levels.shape[-1]):
            spread = np.minimum(along_time[..., frame - 1], limit[..., frame])
            np.maximum(along_time[..., frame], spread, out=along_time[..., frame])
    return reached


def _last_axis(array: Frames, size: int) -> tuple[int, ...]:
    return (1,) * (array.ndim - 1) + (size,)


def clip_scores(thresholds: Frames) -> Frames:
    """(..., F) event thresholds to (...): the highest threshold at which an event still survives in the clip."""
    scores: Frames = thresholds.max(axis=-1, initial=-np.inf)
    return scores


def events(thresholds: Frames, threshold_sigmas: float) -> tuple[Event, ...]:
    """Events of one clip with (F,) event thresholds, in order of time. Empty where none survives."""
    active = np.concatenate([[False], thresholds >= threshold_sigmas, [False]])
    edges = np.flatnonzero(active[1:] != active[:-1])
    return tuple(Event(first_frame=int(a), end_frame=int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))
