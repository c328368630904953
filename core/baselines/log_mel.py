"""Waveform to log-mel frames, as in DCASE 2020's task 2. Clips are brought to one level, as for WaveNet.

In: (..., C, T) float32. Out: (..., C, L, B) float32 in dB: L frames of 64 ms, one every 32 ms, all inside the clip; B
bands, 128 where the rate allows it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from core.data.audio import Waveform
from core.data.clips import Clip
from core.data.training_clips import POOL_CLIPS, ClipOrder
from core.model.frontend import FrontEnd, FrontEndConfig

FRAME_MS, HOP_MS = 64, 32
MAX_BANDS = 128
FLOOR = 1e-10
"""The least power of a band: -100 dB, while the loudest bands have about -20 dB."""
MAX_CLIPS = 1024
"""The most clips to learn from; of a larger set the first ones are taken."""

LogMels = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class FrameGrid:
    """The places of frames in a clip, in samples: frame f begins at sample f * hop."""

    sample_rate_hz: int
    frame: int
    hop: int

    @classmethod
    def at(cls, sample_rate_hz: int) -> "FrameGrid":
        frame, hop = (round(ms * sample_rate_hz / 1000) for ms in (FRAME_MS, HOP_MS))
        return cls(sample_rate_hz=sample_rate_hz, frame=frame, hop=hop)

    @property
    def hop_ms(self) -> float:
        return 1000 * self.hop / self.sample_rate_hz

    def num_frames(self, num_samples: int) -> int:
        """How many whole frames a clip has; 0 where it is shorter than a frame."""
        return max(0, (num_samples - self.frame) // self.hop + 1)

    def first_s(self, centre_frames: float) -> float:
        """The start of the hop around the middle of a frame, to which a score belongs; frames count from 0."""
        return (centre_frames * self.hop + (self.frame - self.hop) / 2) / self.sample_rate_hz

    def frames(self, waveform: Waveform) -> Waveform:
        """(..., T) to (..., L, frame), a view."""
        if not self.num_frames(waveform.shape[-1]):
            return np.empty((*waveform.shape[:-1], 0, self.frame), dtype=np.float32)
        return np.lib.stride_tricks.sliding_window_view(waveform, self.frame, axis=-1)[..., :: self.hop, :]


def power_spectra(grid: FrameGrid, waveform: Waveform) -> Waveform:
    """(..., C, T) of any level to (..., C, L, frame // 2 + 1): power of Hann-windowed frames at one level.

    White noise has the same power at every rate. A silent channel has a power of 0.
    """
    if not grid.num_frames(waveform.shape[-1]):  # MKL refuses an empty transform
        return np.empty((*waveform.shape[:-1], 0, grid.frame // 2 + 1), dtype=np.float32)
    config = FrontEndConfig(sample_rate_hz=grid.sample_rate_hz, level="matched", pre_emphasis=0.0)
    level = FrontEnd(config=config, channel_gains=()).level_of(waveform)
    frames = grid.frames((waveform - level.mean) * level.gain)
    window = np.hanning(grid.frame + 1)[:-1]
    window = (window / np.sqrt(np.square(window).sum())).astype(np.float32)
    power: Waveform = torch.fft.rfft(torch.from_numpy(frames * window)).abs().square().numpy()
    return power


@dataclass(frozen=True)
class LogMel:
    """The filterbank for one rate."""

    grid: FrameGrid

    @cached_property
    def filters(self) -> Waveform:
        """(frame // 2 + 1, B), Slaney's triangles of equal area, from 0 Hz to half the rate."""
        from librosa.filters import mel  # imported here: it takes nearly a second, and only alternatives need it

        rate, frame = self.grid.sample_rate_hz, self.grid.frame
        filters: Waveform = mel(sr=rate, n_fft=frame, n_mels=num_bands(rate, frame)).T
        return np.ascontiguousarray(filters, dtype=np.float32)

    @property
    def num_bands(self) -> int:
        return int(self.filters.shape[1])

    def of(self, waveform: Waveform) -> LogMels:
        """(..., C, T) to (..., C, L, B) in dB. L is 0 where a clip is shorter than a frame."""
        bands = torch.from_numpy(power_spectra(self.grid, waveform)) @ torch.from_numpy(self.filters)
        decibels: LogMels = 10 * bands.clamp(min=FLOOR).log10().numpy()
        return decibels


def num_bands(sample_rate_hz: int, frame: int) -> int:
    """The number of bands: MAX_BANDS, or fewer, so that none is narrower than a bin of the spectrum and perhaps empty.

    On Slaney's scale the lowest bands are the narrowest. A mel is 66.7 Hz up to 1 kHz; above that a mel is a factor of
    6.4 ** (1 / 27) in frequency. The result is 128 from 5 kHz upwards, and 106 at 4 kHz.
    """
    half = sample_rate_hz / 2
    mels = half * 3 / 200 if half < 1000 else 15 + math.log(half / 1000) * 27 / math.log(6.4)
    return max(1, min(MAX_BANDS, int(mels * (200 / 3) * frame / sample_rate_hz) - 1))


@dataclass(frozen=True, kw_only=True)
class TrainingFrames:
    """Log-mel frames of the training clips."""

    frames: LogMels
    """(M, C, L, B) in dB."""
    machines: tuple[str, ...]
    """Of each of the M clips."""


def training_frames(order: ClipOrder, log_mel: LogMel) -> TrainingFrames:
    """The frames of all training clips, or of the first MAX_CLIPS."""
    clips = list(_each_once(order))
    return TrainingFrames(
        frames=np.stack([log_mel.of(clip.read()) for clip in clips]),
        machines=tuple(clip.take.recording.machine for clip in clips),
    )


def _each_once(order: ClipOrder) -> Iterator[Clip]:
    everything = order.all_of(POOL_CLIPS)
    if everything is not None:
        yield from everything
        return
    seen = set()
    for position in range(MAX_CLIPS):
        clip = order.at(position)
        key = clip.take.recording.recording_id, clip.start
        if key in seen:  # the first pass is over
            return
        seen.add(key)
        yield clip
