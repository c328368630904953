"""Detectors that learn nothing: they score loudness and spectral flatness. A fault that they find needs no network."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.baselines.log_mel import FrameGrid, power_spectra
from core.data.audio import Waveform
from core.data.training_clips import ClipOrder
from core.model.scoring import Scores

FLOOR = 1e-12
"""Power that is added to every measurement, -120 dB re full scale, so that silence has a finite score."""


def loudness_scores(waveforms: Waveform) -> npt.NDArray[np.float64]:
    """(N,) level of each clip in dB re full scale, over all channels.

    A silent clip scores -inf.
    """
    power = np.mean(np.square(waveforms, dtype=np.float64), axis=(1, 2))
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(power))


@dataclass(frozen=True, kw_only=True)
class MeasureScorer:
    """Scores each frame of a clip by a measurement, (C, T) to (C, L)."""

    grid: FrameGrid
    measure: Callable[[FrameGrid, Waveform], Waveform]
    num_weights: int = 0

    @property
    def frame_ms(self) -> float:
        return self.grid.hop_ms

    @property
    def first_s(self) -> float:
        return self.grid.first_s(0)

    def frame_scores(self, waveforms: Waveform) -> Scores:
        return np.stack([self.measure(self.grid, waveform) for waveform in waveforms]).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """An alternative that learns nothing."""

    name: str
    measure: Callable[[FrameGrid, Waveform], Waveform]
    min_frames: int = 1
    setup: tuple[str, ...] = ()

    def fit(self, order: ClipOrder, *, sample_rate_hz: int, seed: int) -> MeasureScorer:  # noqa: ARG002 (learns nothing)
        return MeasureScorer(grid=FrameGrid.at(sample_rate_hz), measure=self.measure)


def loudness() -> Measure:
    """The level of each frame in dB re full scale. The clip's level is not matched, because it is the score."""
    return Measure(name="loudness", measure=_level)


def flatness() -> Measure:
    """Spectral flatness of each frame in dB: near 0 for noise, 0 for silence, far below for a tone."""
    return Measure(name="spectral flatness", measure=_flatness)


def _level(grid: FrameGrid, waveform: Waveform) -> Waveform:
    power: Waveform = np.square(grid.frames(waveform)).mean(axis=-1)
    return np.asarray(10 * np.log10(power + FLOOR))


def _flatness(grid: FrameGrid, waveform: Waveform) -> Waveform:
    power = power_spectra(grid, waveform)[..., 1:] + FLOOR  # without DC
    flatness: Waveform = 10 * (np.log10(power).mean(axis=-1) - np.log10(power.mean(axis=-1)))
    return flatness
