"""A vector of named statistics for every frame and channel of a clip: of the network's prediction, and of the sound.

C channels, T scored samples, F frames, B bands, K statistics. Frame f begins at sample f * frame_samples. Its
statistics are measured in a window of WINDOW_MS around its middle; near an edge of the clip in the nearest whole
window.

    likelihood    mean surprise and entropy in bits, log energy of the innovations z: how well the network predicts
    colour        log energy of z in bands: which frequencies it does not expect
    whiteness     mean products of z with z some samples before, and with the other microphones: what it misses
    impulses      how unevenly the energy of z lies in time: the flatness and the crest of stretches of IMPULSE_MS
    spectrum      log energy of the sound itself in bands, at one level, without DC
    level         the clip's loudness in dB, without DC, the same in every frame

Bands are equally wide on the mel scale (O'Shaughnessy, 1987), from 0 Hz to half the sample rate, and at least one bin
of the window's spectrum. The sound itself may have a multiple of the network's rate, so that its bands reach higher.
Flatness is the log of the stretches' mean energy less the mean of their logs, and the crest the log of their largest
energy less that of their mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.fft import rfft

from core.data.audio import Waveform
from core.model.frontend import mean_of
from core.model.innovations import Samples

FrameVectors = npt.NDArray[np.float16]
"""(..., F, K)"""

FORMAT = 3
"""Raise it when the statistics of the same samples change by more than rounding."""
WINDOW_MS, IMPULSE_MS = 128, 2
NUM_BANDS = 40
MEL_BREAK_HZ = 700.0
"""Mels are linear in frequency far below and logarithmic far above."""
NUM_OF_SOUND = NUM_BANDS + 1
"""Statistics of the sound itself, the last of a vector."""
LAGS = (1, 2, 3, 4, 6, 8)
"""In samples."""
QUIETEST_DB = -200.0
LARGEST = float(np.finfo(np.float16).max)
"""Of a statistic: beyond it is the surprise of a network that has diverged."""
INNOVATION_FLOOR, IMPULSE_FLOOR, SOUND_FLOOR = 1e-4, 1e-2, 1e-6
"""Added to energies before their logarithm. White z of variance 1 has an energy of 1 in every band."""


def statistic_groups(num_channels: int) -> dict[str, slice]:
    """The place of each group in the vector, in its order."""
    lengths = {
        "likelihood": 3,
        "colour": NUM_BANDS,
        "whiteness": len(LAGS) + (num_channels > 1),
        "impulses": 2,
        "spectrum": NUM_BANDS,
        "level": 1,
    }
    places, end = {}, 0
    for name, length in lengths.items():
        places[name] = slice(end, end + length)
        end += length
    return places


def band_edges_hz(sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """(B + 1,)"""
    highest = np.log1p(sample_rate_hz / 2 / MEL_BREAK_HZ)
    edges: npt.NDArray[np.float64] = MEL_BREAK_HZ * np.expm1(np.linspace(0, highest, NUM_BANDS + 1))
    return edges


def num_statistics(num_channels: int) -> int:
    """K."""
    return int(statistic_groups(num_channels)["level"].stop)


def prediction_statistics(
    surprise: Samples, entropy: Samples, z: Samples, *, frame_samples: int, sample_rate_hz: int
) -> FrameVectors:
    """The groups that need the network, likelihood to impulses: (C, T) of one clip to (C, F, K - NUM_OF_SOUND).

    An incomplete last frame is dropped; F may be 0. NaN stays NaN.
    """
    num_samples = surprise.shape[-1]
    if num_samples < frame_samples:
        return np.empty((len(surprise), 0, num_statistics(len(surprise)) - NUM_OF_SOUND), np.float16)
    windows = _Windows.of_frames(num_samples, frame_samples, sample_rate_hz)
    columns = [
        windows.means(surprise)[..., None],
        windows.means(entropy)[..., None],
        np.log(windows.means(np.square(z)) + INNOVATION_FLOOR)[..., None],
        windows.log_bands(z, INNOVATION_FLOOR),
        np.stack([windows.means(_product(z, lag)) for lag in LAGS], axis=-1),
        *([windows.means(z * _mean_of_others(z))[..., None]] if len(z) > 1 else []),
        windows.impulses(z),
    ]
    return _as_vectors(columns)


def sound_statistics(sound: Waveform, *, frame_samples: int, sample_rate_hz: int) -> FrameVectors:
    """The groups of the sound itself, spectrum and level: (C, T) of one clip to (C, F, NUM_OF_SOUND).

    A silent channel has the lowest energies. An incomplete last frame is dropped; F may be 0. NaN stays NaN.
    """
    if sound.shape[-1] < frame_samples:
        return np.empty((len(sound), 0, NUM_OF_SOUND), np.float16)
    windows = _Windows.of_frames(sound.shape[-1], frame_samples, sample_rate_hz)
    without_dc = sound - mean_of(sound)
    power = np.square(without_dc, dtype=np.float64).mean(axis=-1, keepdims=True)
    at_one_level = (without_dc / np.sqrt(np.where(power > 0, power, 1))).astype(np.float32)
    level = np.broadcast_to(_decibels(power)[..., None], (*windows.shape_of(sound), 1))
    return _as_vectors([windows.log_bands(at_one_level, SOUND_FLOOR), level])


def _as_vectors(columns: Sequence[npt.NDArray[np.float64]]) -> FrameVectors:
    vectors: FrameVectors = np.clip(np.concatenate(columns, axis=-1), -LARGEST, LARGEST).astype(np.float16)
    return vectors


@dataclass(frozen=True, kw_only=True)
class _Windows:
    """One window a frame, each inside the T samples."""

    num_samples: int
    window: int
    middles: npt.NDArray[np.int_]
    """(F,)"""
    sample_rate_hz: int

    @classmethod
    def of_frames(cls, num_samples: int, frame_samples: int, sample_rate_hz: int) -> "_Windows":
        return cls(
            num_samples=num_samples,
            window=min(round(WINDOW_MS * sample_rate_hz / 1000), num_samples),
            middles=np.arange(num_samples // frame_samples) * frame_samples + frame_samples // 2,
            sample_rate_hz=sample_rate_hz,
        )

    @cached_property
    def starts(self) -> npt.NDArray[np.int_]:
        return np.clip(self.middles - self.window // 2, 0, self.num_samples - self.window)

    def shape_of(self, samples: Samples) -> tuple[int, int]:
        return len(samples), len(self.middles)

    def means(self, samples: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(C, T) to (C, F)."""
        ends = self.starts + self.window
        bounds = np.unique(np.concatenate([self.starts, ends]))
        parts = np.add.reduceat(samples[:, : bounds[-1]], bounds[:-1], axis=-1, dtype=np.float64)
        sums = np.concatenate([np.zeros((len(samples), 1)), np.cumsum(parts, axis=-1)], axis=-1)
        first, last = np.searchsorted(bounds, self.starts), np.searchsorted(bounds, ends)
        means: npt.NDArray[np.float64] = (sums[:, last] - sums[:, first]) / self.window
        return means

    def impulses(self, z: Samples) -> npt.NDArray[np.float64]:
        """(C, T) to (C, F, 2): flatness and crest."""
        stretch = min(max(1, round(IMPULSE_MS * self.sample_rate_hz / 1000)), self.window)
        num_stretches, width = self.num_samples // stretch, self.window // stretch
        energies = np.square(z[:, : num_stretches * stretch].reshape(len(z), -1, stretch)).mean(axis=-1)
        starts = np.clip(self.starts // stretch, 0, num_stretches - width)
        cut = np.lib.stride_tricks.sliding_window_view(energies + IMPULSE_FLOOR, width, axis=-1)[:, starts]
        log_mean = np.log(cut.mean(axis=-1))
        flatness, crest = log_mean - np.log(cut).mean(axis=-1), np.log(cut.max(axis=-1)) - log_mean
        both: npt.NDArray[np.float64] = np.stack([flatness, crest], axis=-1)
        return both

    def log_bands(self, samples: Samples, floor: float) -> npt.NDArray[np.float64]:
        """(C, T) to (C, F, B): natural log of the mean power of the spectrum's bins in each band."""
        cut = np.lib.stride_tricks.sliding_window_view(samples, self.window, axis=-1)[:, self.starts]
        taper = np.hanning(self.window + 2)[1:-1]
        taper = (taper / np.sqrt(np.square(taper).sum())).astype(np.float32)
        spectrum = rfft(cut * taper, axis=-1)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        bands: npt.NDArray[np.float64] = np.log((power @ self._shares(power.shape[-1])).astype(np.float64) + floor)
        return bands

    def _shares(self, num_bins: int) -> npt.NDArray[np.float32]:
        """(bins, B): by which the bins' powers become the means of bands."""
        bounds, bins = self._bounds(num_bins), np.arange(num_bins)[:, None]
        is_within = (bounds[:-1] <= bins) & (bins < bounds[1:])
        shares: npt.NDArray[np.float32] = (is_within / np.maximum(np.diff(bounds), 1)).astype(np.float32)
        return shares

    def _bounds(self, num_bins: int) -> npt.NDArray[np.int_]:
        """(B + 1,): the first bin of each band, and the end. The last bands are empty where bins are too few."""
        bins = np.round(band_edges_hz(self.sample_rate_hz) / (self.sample_rate_hz / 2) * num_bins).astype(int)
        order = np.arange(NUM_BANDS + 1)
        bounds: npt.NDArray[np.int_] = np.minimum(np.maximum.accumulate(bins - order) + order, num_bins)
        return bounds


def _product(z: Samples, lag: int) -> Samples:
    """(C, T): each sample times the one `lag` before; 0 where there is none."""
    product = np.zeros_like(z)
    product[:, lag:] = z[:, lag:] * z[:, :-lag]
    return product


def _mean_of_others(z: Samples) -> Samples:
    others: Samples = (z.sum(axis=0) - z) / (len(z) - 1)
    return others


def _decibels(power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    decibels: npt.NDArray[np.float64] = np.maximum(10 * np.log10(np.maximum(power, 1e-300)), QUIETEST_DB)
    return decibels
