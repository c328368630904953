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
"""Added to the variance of each band, in its own variances, with as much again as there are weights for a frame."""
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
        around, own = np.split(self.means, [len(self.weights)], axis=-1)
        errors = bands - (own - around @ self.weights)[:, None]
        weights = np.split(self.weights, 2 * NEIGHBOURS)
        for neighbours, of_neighbours in zip(shifted(bands, self.step)[:-1], weights, strict=True):
            errors -= neighbours @ of_neighbours
        log_errors: Array = np.log(np.square(errors).mean(axis=2) + SMALLEST)
        return log_errors


def num_surrounding(num_bands: int) -> int:
    """S."""
    return (2 * NEIGHBOURS + 1) * num_bands


def step_frames(frame_ms: float) -> int:
    """STEP_MS in frames."""
    return max(1, round(STEP_MS / frame_ms))


def shifted(bands: Bands, step: int) -> list[Array]:
    """(N, C, F, B) of the neighbours of each frame, in their order, and last of the frame itself."""
    reach, num_frames = NEIGHBOURS * step, bands.shape[2]
    padded = np.pad(bands.astype(np.float64), ((0, 0), (0, 0), (reach, reach), (0, 0)), mode="edge")
    offsets = [step * number for number in range(2 * NEIGHBOURS + 1) if number != NEIGHBOURS]
    return [padded[:, :, first : first + num_frames] for first in (*offsets, reach)]


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
    surroundings = np.concatenate(shifted(clips, step), axis=-1)
    rows = surroundings.reshape(-1, surroundings.shape[-1])
    sums = surroundings.sum(axis=(0, 2))
    return _Moments(num_frames=len(clips) * clips.shape[2], sums=sums, products=rows.T @ rows)


def _fit(moments: _Moments, num_bands: int, step: int) -> Interpolator:
    means, num_rows = moments.sums / moments.num_frames, moments.num_frames * len(moments.sums)
    variance = (moments.products - moments.sums.T @ means) / num_rows
    around = variance[:-num_bands, :-num_bands].copy()
    own_variances = np.maximum(np.diag(around), 0) + SMALLEST
    np.fill_diagonal(around, np.diag(around) + (RIDGE + len(around) / num_rows) * own_variances)
    weights = np.linalg.solve(around, variance[:-num_bands, -num_bands:])
    return Interpolator(step=step, means=means, weights=np.asarray(weights, np.float64))


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
