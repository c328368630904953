"""The signals of the simulated toy car: functions of an angle, and several kinds of noise.

All are (T,) float64. Angles are in radians and increase. Noise has the same spectral density at every sample rate.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.fft

Array = npt.NDArray[np.float64]

DENSITY_REFERENCE_HZ = 4000
"""The rate at which white noise has variance 1."""
PARTIAL_SPREAD_DB = 3.0
"""Standard deviation of each partial's level from take to take. The sum of the partials keeps its power."""
HIGHEST_PARTIAL = 0.95
"""As a fraction of half the sample rate. Higher partials are left out to avoid aliasing."""


class SignalMaker:
    """Generates the signals of one take, with one length, one rate and one random generator."""

    def __init__(self, *, sample_rate_hz: int, num_samples: int, random: np.random.Generator) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.num_samples = num_samples
        self.random = random
        self.time_s: Array = np.arange(num_samples) / sample_rate_hz
        self.frequency_hz: Array = scipy.fft.rfftfreq(num_samples, 1 / sample_rate_hz)

    def partials(self, angle: Array, amplitudes: Sequence[float], phases: Array) -> Array:
        """The sum of cos(k * angle + phase) for k = 1, 2 .., with amplitudes that vary from take to take."""
        spread_db = self.random.normal(0, PARTIAL_SPREAD_DB, len(amplitudes))
        varied = np.array(amplitudes) * 10 ** (spread_db / 20)
        varied *= np.linalg.norm(amplitudes) / np.linalg.norm(varied)
        radians_a_sample = (angle[-1] - angle[0]) / (len(angle) - 1)
        total = np.zeros_like(angle)
        for order, (amplitude, phase) in enumerate(zip(varied, phases, strict=False), start=1):
            if order * radians_a_sample < HIGHEST_PARTIAL * np.pi:
                total += amplitude * np.cos(order * angle + phase)
        return total

    def white_noise(self, num_channels: int | None = None) -> Array:
        """(T,), or (C, T) with independent rows."""
        shape = self.num_samples if num_channels is None else (num_channels, self.num_samples)
        noise: Array = self.random.normal(0, np.sqrt(self.sample_rate_hz / DENSITY_REFERENCE_HZ), shape)
        return noise

    def held_noise(self, angle: Array) -> Array:
        """Standard normal noise that is constant within each turn of `angle`, for differences between teeth."""
        turn = np.floor(angle / (2 * np.pi)).astype(np.int64)
        turn -= turn.min()
        held: Array = self.random.normal(size=turn.max() + 1)[turn]
        return held

    def slow_wave(self, low_hz: float, high_hz: float) -> Array:
        """Four sines at random frequencies in a range; their sum has standard deviation 1."""
        frequency_hz = self.random.uniform(low_hz, high_hz, (4, 1))
        phase = self.random.uniform(0, 2 * np.pi, (4, 1))
        wave: Array = np.sin(2 * np.pi * frequency_hz * self.time_s + phase).sum(axis=0) / np.sqrt(2)
        return wave

    def flutter(self, corner_hz: float) -> Array:
        """Noise below about `corner_hz` with standard deviation 1."""
        spectrum = scipy.fft.rfft(self.white_noise()) / np.sqrt(1 + (self.frequency_hz / corner_hz) ** 2)
        wave = scipy.fft.irfft(spectrum, self.num_samples)
        unit: Array = wave / wave.std()
        return unit

    def clicks(self, rate_hz: float, seconds: float) -> Array:
        """Bumps of height 1 / 3 to 1 and about `seconds` long, at random times."""
        count = self.random.poisson(rate_hz * self.num_samples / self.sample_rate_hz)
        moments = self.random.uniform(0, self.time_s[-1], (count, 1))
        heights = self.random.uniform(1 / 3, 1, (count, 1))
        bumps: Array = (heights * np.exp(-0.5 * ((self.time_s - moments) / (seconds / 2)) ** 2)).sum(axis=0)
        return bumps

    def during(self, shortest_s: float, longest_s: float, *, after_s: float) -> Array:
        """1 during one stretch of the take that starts after `after_s`, and 0 elsewhere."""
        seconds = self.random.uniform(shortest_s, longest_s)
        first = self.random.uniform(after_s, max(self.time_s[-1] - seconds, after_s))
        stretch: Array = ((self.time_s >= first) & (self.time_s < first + seconds)).astype(np.float64)
        return stretch


def once_a_turn(angle: Array, sharpness: int) -> Array:
    """One bump from 0 to 1 in every turn, about 2 / sqrt(sharpness) radians wide."""
    bumps: Array = (0.5 + 0.5 * np.cos(angle)) ** sharpness
    return bumps
