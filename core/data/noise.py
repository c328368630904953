"""Adds noise to takes, to test which detector still detects the fault: white noise, or pink noise, as in rooms.

    noisy[c] = clean[c] + gain[c] * noise[c]        gain[c] = rms(clean[c] - mean(clean[c])) * 10^(-snr_db / 20)

for channel c of a take. The mean and the RMS are those of the whole take.

Noise is generated in blocks of BLOCK samples. Each block depends only on the seed, the recording's id, the channel and
the block's number. Pink noise is filtered white noise, and each block uses the white block before it (overlap-save):

    white    | k - 1             | k                 |
    pink                         | k                 |      KERNEL taps, at most BLOCK, reach back into k - 1

So a window of a take has the same bits in whatever order windows are read, and a take is never held as a whole.
Noise is generated at the study's rate and fills its band. At another rate it is different noise, and the
signal-to-noise ratio is that of the other band.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.data.audio import Audio, Waveform
from core.data.recordings import Take
from core.errors import UserError

KINDS = ("pink", "white")
BLOCK = 16_384
KERNEL = 8192
"""Taps of the filter for pink noise: its resolution is half a hertz at 4 kHz and twelve at 96 kHz."""
LOWEST_PINK_HZ = 20.0
"""Pink noise is flat below this frequency. Otherwise most of its power would be a drift that no microphone records."""
MAX_HELD_BLOCKS = 1024
"""The cache of generated blocks, 64 MiB, because training reads the same takes repeatedly."""
SAMPLES_AT_A_TIME = 2**20
"""The piece length in which a take's level is measured."""


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """Noise in all takes: training, calibration, validation and test."""

    snr_db: float
    """The take's power relative to the noise's, in each channel separately; at 0 both are equally loud."""
    kind: Literal["pink", "white"] = "pink"
    """Pink noise falls by 3 dB an octave, as noise in rooms does. White noise masks high frequencies more."""
    seed: int = 0
    """Selects the noise. The split's seed does not matter, so a take has the same noise in every fold."""

    def __post_init__(self) -> None:
        if not -60 <= self.snr_db <= 120:
            raise UserError(f"noise.snr_db must be from -60 to 120, but got {self.snr_db}.")
        if self.kind not in KINDS:
            raise UserError(f"noise.kind must be one of {', '.join(KINDS)}, but got {self.kind!r}.")
        if self.seed < 0:
            raise UserError(f"noise.seed must be 0 or more, but got {self.seed}.")

    def describe(self) -> str:
        """One line to print."""
        return f"{self.kind} noise at {self.snr_db:g} dB (signal over noise) is added to every take"


@dataclass(frozen=True, kw_only=True, eq=False)
class NoisyAudio:
    """A take's audio with noise, which is generated when it is read."""

    clean: Audio
    config: NoiseConfig
    recording_id: str
    speed: float
    sample_rate_hz: int

    @property
    def num_channels(self) -> int:
        return self.clean.num_channels

    @property
    def num_samples(self) -> int:
        return self.clean.num_samples

    def read(self, start: int = 0, stop: int | None = None) -> Waveform:
        """The sum may exceed full scale and is not clipped."""
        first, end, _ = slice(start, stop).indices(self.num_samples)
        clean = self.clean.read(first, end)
        if first >= end:
            return clean
        noise = np.stack([self._noise(channel, first, end) for channel in range(self.num_channels)])
        noisy: Waveform = clean + self._gains * noise
        return noisy

    @cached_property
    def _gains(self) -> Waveform:
        """(C, 1): RMS of the noise in each channel; 0 for a constant channel."""
        levels = _rms(self.clean) * 10 ** (-self.config.snr_db / 20)
        gains: Waveform = levels.astype(np.float32)
        return gains

    def _noise(self, channel: int, first: int, end: int) -> Waveform:
        """(end - first,) of RMS 1."""
        numbers = range(first // BLOCK, -(-end // BLOCK))
        blocks = [_block(self._key, self.config.kind, self.sample_rate_hz, channel, number) for number in numbers]
        offset = numbers.start * BLOCK
        return np.concatenate(blocks)[first - offset : end - offset]

    @cached_property
    def _key(self) -> int:
        speed = "" if self.speed == 1 else f"\t{self.speed}"  # a take at another speed has other noise
        return int(hashlib.sha256(f"{self.config.seed}\t{self.recording_id}{speed}".encode()).hexdigest()[:32], 16)


def with_noise(take: Take, config: NoiseConfig | None, sample_rate_hz: int) -> Take:
    """The take with noise; the take itself if `config` is None."""
    if config is None:
        return take
    noisy = NoisyAudio(
        clean=take.audio,
        config=config,
        recording_id=take.recording.recording_id,
        speed=take.speed,
        sample_rate_hz=sample_rate_hz,
    )
    return replace(take, audio=noisy)


def _rms(audio: Audio) -> npt.NDArray[np.float64]:
    """(C, 1), after the mean of each channel is subtracted."""
    sums, squares = np.zeros((2, audio.num_channels, 1))
    for start in range(0, audio.num_samples, SAMPLES_AT_A_TIME):
        part = audio.read(start, start + SAMPLES_AT_A_TIME).astype(np.float64)
        sums += part.sum(axis=1, keepdims=True)
        squares += np.square(part).sum(axis=1, keepdims=True)
    variance = squares / audio.num_samples - np.square(sums / audio.num_samples)
    rms: npt.NDArray[np.float64] = np.sqrt(np.maximum(variance, 0))
    return rms


@lru_cache(maxsize=MAX_HELD_BLOCKS)
def _block(key: int, kind: str, sample_rate_hz: int, channel: int, number: int) -> Waveform:
    """(BLOCK,) of noise with an expected RMS of 1. The array is shared and read-only."""
    white = _white(key, channel, number)
    if kind == "pink":
        both = np.concatenate([_white(key, channel, number - 1), white])
        white = np.fft.irfft(np.fft.rfft(both) * _pink_response(sample_rate_hz))[BLOCK:]
    block: Waveform = white.astype(np.float32)
    block.setflags(write=False)
    return block


def _white(key: int, channel: int, number: int) -> npt.NDArray[np.float64]:
    """(BLOCK,); number -1 is the block before the first of the take."""
    return np.random.default_rng([key, channel, number + 1]).standard_normal(BLOCK)


@lru_cache(maxsize=8)
def _pink_response(sample_rate_hz: int) -> npt.NDArray[np.complex128]:
    """(BLOCK + 1,): the filter's frequency response over two blocks. Its power falls with frequency and sums to 1."""
    frequencies_hz = np.fft.rfftfreq(KERNEL, 1 / sample_rate_hz)
    taps = np.fft.irfft(1 / np.sqrt(np.maximum(frequencies_hz, LOWEST_PINK_HZ)))
    taps = np.fft.fftshift(taps) * np.hanning(KERNEL)
    response: npt.NDArray[np.complex128] = np.fft.rfft(taps / np.sqrt(np.sum(taps**2)), n=2 * BLOCK)
    return response
