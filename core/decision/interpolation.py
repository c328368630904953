"""How well each frame of a clip follows from the frames around it: the error of a linear interpolation.

N clips, C channels, F frames, B bands. The bands of a frame are predicted from those of NEIGHBOURS frames on each side,
STEP_MS apart, by ridge regression with an intercept for each channel, which has a closed form. Frames beyond the ends
of a clip are taken to be like its first and its last. The idea is IDNN's (Suefusa and others, "Anomalous sound
detection based on interpolation deep neural network", ICASSP 2020), without its network.

    log error of a clip's band = log(mean over frames of (frame - predicted frame)^2)

A band that goes up and down, otherwise than in the sound that was learned, has a large error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Bands = npt.NDArray[np.floating]

NEIGHBOURS = 2
STEP_MS = 50.0
RIDGE = 0.1
"""Added to the variance of each band, which is 1 after scaling, with as much again as there are weights for a frame."""
SMALLEST = 0.01
"""Added to squares and variances, in squared nats: errors below a tenth of a nat (0.4 dB) are alike."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Interpolator:
    """A fitted interpolation. The bands of a frame's surroundings are those of its neighbours and, last, its own."""

    step: int
    """Frames from one neighbour to the next."""
    means: Array
    """(C, S) of the surroundings; S = (2 NEIGHBOURS + 1) B."""
    weights: Array
    """(S - B, B)"""

    def log_errors(self, bands: Bands) -> Array:
        """(N, C, F, B) to (N, C, B). F must be at least 1. NaN stays NaN."""
        return np.stack([self._of_clip(clip) for clip in bands])

    def _of_clip(self, clip: Bands) -> Array:
        around, own = np.split(surroundings(clip, self.step) - self.means[:, None], [len(self.weights)], axis=-1)
        squares = np.square(own - around @ self.weights).mean(axis=1)
        errors: Array = np.log(squares + SMALLEST)
        return errors


def num_surrounding(num_bands: int) -> int:
    """S."""
    return (2 * NEIGHBOURS + 1) * num_bands


def step_frames(frame_ms: float) -> int:
    """STEP_MS in frames."""
    return max(1, round(STEP_MS / frame_ms))


def surroundings(clip: Bands, step: int) -> Array:
    """(C, F, B) to (C, F, S)."""
    reach, num_frames = NEIGHBOURS * step, clip.shape[1]
    padded = np.pad(clip.astype(np.float64), ((0, 0), (reach, reach), (0, 0)), mode="edge")
    offsets = [step * number for number in range(2 * NEIGHBOURS + 1) if number != NEIGHBOURS]
    return np.concatenate([padded[:, first : first + num_frames] for first in (*offsets, reach)], axis=-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Moments:
    """Sums over frames of surroundings (C, F, S)."""

    num_frames: int
    sums: Array
    """(C, S)"""
    products: Array
    """(S, S), over the channels, too."""

    def plus(self, other: "_Moments") -> "_Moments":
        return _Moments(
            num_frames=self.num_frames + other.num_frames,
            sums=self.sums + other.sums,
            products=self.products + other.products,
        )

    def minus(self, other: "_Moments") -> "_Moments":
        return _Moments(
            num_frames=self.num_frames - other.num_frames,
            sums=self.sums - other.sums,
            products=self.products - other.products,
        )


def _moments(clips: Bands, step: int) -> _Moments:
    """Of (N, C, F, B)."""
    size = num_surrounding(clips.shape[-1])
    sums, products = np.zeros((clips.shape[1], size)), np.zeros((size, size))
    for clip in clips:
        around = surroundings(clip, step)
        rows = around.reshape(-1, size)
        sums += around.sum(axis=1)
        products += rows.T @ rows
    return _Moments(num_frames=len(clips) * clips.shape[2], sums=sums, products=products)


def _fit(moments: _Moments, num_bands: int, step: int) -> Interpolator:
    means = moments.sums / moments.num_frames
    variance = moments.products / moments.num_frames / len(means) - means.T @ means / len(means)
    scale = np.sqrt(np.maximum(np.diag(variance), 0) + SMALLEST)
    correlations = variance / scale / scale[:, None]
    num_around = len(scale) - num_bands
    around, ridge = slice(num_around), RIDGE + num_around / (moments.num_frames * len(means))
    weights = np.linalg.solve(
        correlations[around, around] + ridge * np.eye(num_around), correlations[around, -num_bands:]
    )
    return Interpolator(step=step, means=means, weights=weights * scale[-num_bands:] / scale[around, None])


def fit_interpolator(bands: Bands, takes: Sequence[object], *, frame_ms: float) -> tuple[Interpolator, Array]:
    """Fits healthy clips (N, C, F, B) of these takes. Also the log errors (N, C, B) of clips whose take was left out.

    Of a single take each clip is left out in place of the take. A single clip is measured by itself.
    """
    step, num_bands = step_frames(frame_ms), bands.shape[-1]
    left_out = np.empty((*bands.shape[:2], num_bands))
    units = takes if len(set(takes)) > 1 else range(len(takes))
    rows = [np.array([each == unit for each in units]) for unit in dict.fromkeys(units)]
    moments = [_moments(bands[own], step) for own in rows]
    everything = reduce(_Moments.plus, moments)
    fitted = _fit(everything, num_bands, step)
    for own, of_own in zip(rows, moments, strict=True):
        others = fitted if own.all() else _fit(everything.minus(of_own), num_bands, step)
        left_out[own] = others.log_errors(bands[own])
    return fitted, left_out
