"""Waveform to network input: DC, decimation, pre-emphasis, level, mu-law.

In: float32 (..., C, T) at the rate at which recordings are read, of any level. Out: uint8 codes
(..., C, T // decimation), 0 .. levels - 1. A recording is resampled once, when it is read. The steps in this file are
cheap, and every trial repeats them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.data.audio import Waveform
from core.errors import UserError
from core.model.decimation import NUM_TAPS, decimate

Codes = npt.NDArray[np.uint8]

LEVELS = ("matched", "train_gain")


@dataclass(frozen=True, kw_only=True)
class FrontEndConfig:
    """How a clip is prepared for the network."""

    sample_rate_hz: int = 4000
    """What the network hears."""
    spectrum_rate_hz: int | None = None
    """Recordings are resampled to this rate when they are read, a multiple of `sample_rate_hz`: so the bands of the
    sound itself (group `spectrum` of core/model/frame_statistics.py) reach higher than the network hears. None: the
    same rate."""
    level: Literal["matched", "train_gain"] = "matched"
    """`matched` gives every clip and channel the same RMS; `train_gain` applies one fitted gain a channel."""
    pre_emphasis: float = 0.9
    """y[t] = x[t] - pre_emphasis * x[t-1]; 0 turns it off. It raises quiet high frequencies before quantising."""
    rms: float = 0.15
    """Target RMS of the level stage, full scale 1.0. It leaves 16 dB for peaks before mu-law clips them."""
    mu_law_levels: int = 256
    """Size of the network's alphabet, 8 bits in the paper."""

    def __post_init__(self) -> None:
        if not 1000 <= self.sample_rate_hz <= 192_000:
            raise UserError(f"front_end.sample_rate_hz must be 1000 to 192000, but got {self.sample_rate_hz}.")
        if not self.sample_rate_hz <= self.read_rate_hz <= 192_000 or self.read_rate_hz % self.sample_rate_hz:
            raise UserError(
                f"front_end.spectrum_rate_hz must be a multiple of sample_rate_hz ({self.sample_rate_hz}) and at most "
                f"192000, but got {self.spectrum_rate_hz}. Set it to {self.sample_rate_hz}, or leave it out."
            )
        if self.level not in LEVELS:
            raise UserError(f"front_end.level must be one of {', '.join(LEVELS)}, but got {self.level!r}.")
        if not 0 <= self.pre_emphasis < 1:
            raise UserError(f"front_end.pre_emphasis must be at least 0 and below 1, but got {self.pre_emphasis}.")
        if not 0 < self.rms <= 0.5:
            raise UserError(f"front_end.rms must be above 0 and at most 0.5, but got {self.rms}.")
        if not 2 <= self.mu_law_levels <= 256:
            raise UserError(f"front_end.mu_law_levels must be 2 to 256, but got {self.mu_law_levels}.")

    @property
    def read_rate_hz(self) -> int:
        """The rate at which recordings are read."""
        return self.sample_rate_hz if self.spectrum_rate_hz is None else self.spectrum_rate_hz

    @property
    def decimation(self) -> int:
        """Samples that are read for one that the network hears."""
        return self.read_rate_hz // self.sample_rate_hz

    def settled(self, lowest_rate_hz: int | None) -> "FrontEndConfig":
        """Without `spectrum_rate_hz` where recordings have a lower rate. None says that their rates are not known."""
        if lowest_rate_hz is None or lowest_rate_hz >= self.read_rate_hz:
            return self
        return replace(self, spectrum_rate_hz=None)

    @property
    def past_samples(self) -> int:
        """Samples of the network before a part of a clip on which its codes depend."""
        return 1 if self.decimation == 1 else 1 + NUM_TAPS


def mu_law_encode(waveform: Waveform, levels: int = 256) -> Codes:
    """Quantises [-1, 1] to 0 .. levels - 1 by the curve of ITU-T G.711, mu = levels - 1. Clips beyond full scale."""
    mu = levels - 1
    clipped = np.clip(waveform, -1.0, 1.0)
    compressed = np.sign(clipped) * np.log1p(mu * np.abs(clipped)) / np.log1p(mu)
    codes: Codes = np.floor((compressed + 1) / 2 * mu + 0.5).astype(np.uint8)
    return codes


def mu_law_decode(codes: Codes, levels: int = 256) -> Waveform:
    """Decodes each code to the middle of its interval on the compressed scale."""
    mu = levels - 1
    compressed = 2 * codes.astype(np.float32) / mu - 1
    waveform: Waveform = (np.sign(compressed) * np.expm1(np.abs(compressed) * np.log1p(mu)) / mu).astype(np.float32)
    return waveform


def mean_of(waveform: Waveform) -> Waveform:
    """(..., C, T) to (..., C, 1) in double precision, which is exact for a constant channel: nothing is left of it."""
    mean: Waveform = waveform.mean(axis=-1, keepdims=True, dtype=np.float64).astype(np.float32)
    return mean


def emphasise(waveform: Waveform, pre_emphasis: float) -> Waveform:
    """y[t] = x[t] - pre_emphasis * x[t-1]; the sample before the first counts as 0."""
    emphasised: Waveform = waveform.copy()
    emphasised[..., 1:] -= pre_emphasis * waveform[..., :-1]
    return emphasised


@dataclass(frozen=True, kw_only=True)
class ClipLevel:
    """Measurements of a whole clip, which are needed before a part of it can be encoded."""

    mean: Waveform
    """(..., C, 1)."""
    gain: Waveform
    """(..., C, 1) or (C, 1)."""


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """A front end that is ready to encode: its configuration, and gains from the training clips."""

    config: FrontEndConfig
    channel_gains: tuple[float, ...]
    """One gain a channel; unused where levels are matched clip by clip."""

    def encode(self, waveform: Waveform) -> Codes:
        """Encodes whole clips: (..., C, T) float32 to (..., C, T // decimation) codes."""
        return self.encode_part(waveform, self.level_of(waveform), num_past=0)

    def encode_part(self, samples: Waveform, level: ClipLevel, *, num_past: int) -> Codes:
        """Encodes a part of a clip with that level. The first `num_past` samples of the network precede the part: with
        `past_samples` of them, or all there are, its codes are those of the whole clip."""
        heard = _heard(samples - level.mean, self.config)[..., num_past:]
        return mu_law_encode(heard * level.gain, self.config.mu_law_levels)

    def level_of(self, waveform: Waveform) -> ClipLevel:
        """Measures whole clips (..., C, T). A silent channel gets a gain of 1."""
        mean = mean_of(waveform)
        if self.config.level == "matched":
            rms = np.sqrt(_power(_heard(waveform - mean, self.config))[..., None])
            gain = self.config.rms / np.where(rms > 0, rms, self.config.rms)
        else:
            gain = np.array(self.channel_gains)[:, None]
        return ClipLevel(mean=mean, gain=gain.astype(np.float32))


def _heard(waveform: Waveform, config: FrontEndConfig) -> Waveform:
    """(..., C, T) without DC to (..., C, T // decimation): all steps before the level."""
    return emphasise(decimate(waveform, config.decimation), config.pre_emphasis)


def _power(waveform: Waveform) -> npt.NDArray[np.float64]:
    """(..., T) to (...), in double precision, in which no power of float32 samples is too small or too large."""
    power: npt.NDArray[np.float64] = np.square(waveform, dtype=np.float64).mean(axis=-1)
    return power


def fit_front_end(config: FrontEndConfig, training_clips: Sequence[Waveform] | Waveform) -> FrontEnd:
    """Fits one gain a channel, which brings the training clips together to the configured RMS."""
    heard = (_heard(clip - mean_of(clip), config) for clip in training_clips)
    rms = np.sqrt(np.mean([_power(clip) for clip in heard], axis=0))
    gains = config.rms / np.where(rms > 0, rms, config.rms)
    return FrontEnd(config=config, channel_gains=tuple(float(gain) for gain in gains))
