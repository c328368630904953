"""Decoded audio at a study's rate, quantised to 16 bits with a separate step for each channel.

The step is the channel's peak / 32767. So a quiet recording has as many bits as a loud one, nothing clips, and the
rounding error is 96 dB below the channel's peak. Audio in memory and audio in the store give the same samples.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]
LARGEST = 32767
STEP_RANGE = (np.finfo(np.float32).tiny, np.nextafter(np.finfo(np.float32).max / np.float32(LARGEST), np.float32(0)))
"""A smaller step would be subnormal, so sound below 1e-38 is lost. LARGEST times a larger step would be infinite."""


class Audio(Protocol):
    """One take's audio, in memory or in the store."""

    @property
    def num_channels(self) -> int: ...

    @property
    def num_samples(self) -> int:
        """Per channel."""
        ...

    def read(self, start: int = 0, stop: int | None = None) -> Waveform:
        """Samples start to stop (excluded; None is the end) of all channels: (C, stop - start) float32.

        Indices beyond the end and negative ones work as in array slices.
        """
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldAudio:
    """Audio in memory."""

    samples: npt.NDArray[np.int16]
    """(C, T)."""
    steps: Waveform
    """(C, 1): the amplitude of one unit of `samples`, where full scale is 1.0."""

    @property
    def num_channels(self) -> int:
        return len(self.samples)

    @property
    def num_samples(self) -> int:
        return int(self.samples.shape[1])

    @property
    def num_bytes(self) -> int:
        return self.samples.nbytes

    def read(self, start: int = 0, stop: int | None = None) -> Waveform:
        return self.samples[:, start:stop] * self.steps


@dataclass(frozen=True, kw_only=True, eq=False)
class AudioPart:
    """A stretch of another audio."""

    whole: Audio
    first: int
    """The first sample of the part, counted in `whole`."""
    num_samples: int

    @property
    def num_channels(self) -> int:
        return self.whole.num_channels

    def read(self, start: int = 0, stop: int | None = None) -> Waveform:
        start, stop, _ = slice(start, stop).indices(self.num_samples)
        return self.whole.read(self.first + start, self.first + max(start, stop))


def quantise(waveform: Waveform) -> HeldAudio:
    """(C, T) float32, finite and of any level, as 16 bits. A channel of zeros stays zero."""
    peaks = np.abs(waveform).max(axis=1, keepdims=True, initial=0.0)
    steps = np.clip(peaks / LARGEST, *STEP_RANGE).astype(np.float32)
    samples = np.clip(np.rint(waveform / steps), -LARGEST, LARGEST).astype(np.int16, order="C")
    return HeldAudio(samples=samples, steps=steps)
