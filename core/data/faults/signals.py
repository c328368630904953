"""What the faults of the library share: bands, levels, microphones, and the rate of the machine's own pulses.

C microphones, T samples; waveforms are (C, T). Faults are computed in float64.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.data.audio import Waveform

Array = npt.NDArray[np.float64]

LOWEST_HZ = 200.0
"""Of the pitch of a fault."""
HALF_BAND_OCTAVES = 1 / 6
"""A third of an octave about a pitch: as wide as what masks a tone for the ear."""
PULSES_HZ = (4.0, 60.0)
"""Where the rate of a machine's own pulses is sought."""
QUIETEST_MICROPHONE_DB = -9.0
MAX_DELAY_S = 0.001
"""Between two microphones: a third of a metre."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a fault needs to know beside the clip."""

    sample_rate_hz: int
    strength: float
    """1 is about just audible; amplitudes, depths and shifts grow in proportion, or as the fault's docstring says."""
    highest_hz: float
    """No fault has its pitch above it, so that it is the same fault at every sample rate."""


def draw_pitch(setting: Setting, random: np.random.Generator) -> float:
    """In Hz, equally likely in every octave from LOWEST_HZ to the highest."""
    highest = max(min(setting.highest_hz, 0.8 * setting.sample_rate_hz / 2), 1.0)
    lowest = min(LOWEST_HZ, highest / 2)
    return float(lowest * (highest / lowest) ** random.random())


def about(pitch_hz: float, half_octaves: float = HALF_BAND_OCTAVES) -> tuple[float, float]:
    """The band about a pitch, in Hz."""
    return pitch_hz * 2**-half_octaves, pitch_hz * 2**half_octaves


def in_band(wave: Array, band_hz: tuple[float, float], sample_rate_hz: int) -> Array:
    """The part of (..., T) within a band."""
    hz = np.fft.rfftfreq(wave.shape[-1], 1 / sample_rate_hz)
    kept = (hz >= band_hz[0]) & (hz <= band_hz[1])
    filtered: Array = np.fft.irfft(np.fft.rfft(wave) * kept, wave.shape[-1])
    return filtered


def rms(wave: Array) -> Array:
    """(..., T) to (..., 1), after the mean is subtracted."""
    spread: Array = wave.std(axis=-1, keepdims=True)
    return spread


def add_sound(
    clip: Waveform,
    sound: Array,
    *,
    band_hz: tuple[float, float],
    level: float,
    setting: Setting,
    random: np.random.Generator,
) -> Array:
    """(C, T): the clip with a sound (T,) of RMS 1, as microphones at different distances hear it.

    At the nearest microphone the sound's RMS is `level` times that of the clip within the band.
    """
    own = rms(in_band(clip.astype(np.float64), band_hz, setting.sample_rate_hz))
    gains = microphone_gains(len(clip), random)
    delays = np.rint(random.uniform(0, MAX_DELAY_S, len(clip)) * setting.sample_rate_hz).astype(int)
    heard = np.stack([np.roll(sound, delay) for delay in delays])
    added: Array = clip + level * own * gains * heard
    return added


def microphone_gains(num_channels: int, random: np.random.Generator) -> Array:
    """(C, 1): 1 for the microphone that is nearest to the fault, less for the others."""
    levels_db = random.uniform(QUIETEST_MICROPHONE_DB, 0, (num_channels, 1))
    gains: Array = 10 ** ((levels_db - levels_db.max()) / 20)
    return gains


def change_sound(clip: Waveform, changed: Array, random: np.random.Generator) -> Array:
    """(C, T): the clip with the machine's sound changed, in full at the nearest microphone and less at the others."""
    mixed: Array = clip + microphone_gains(len(clip), random) * (changed - clip)
    return mixed


def pulse_rate(clip: Waveform, sample_rate_hz: int) -> tuple[float, float]:
    """Rate in Hz and phase in radians of the strongest rise and fall of power within PULSES_HZ.

    The pulse's top is where 2 * pi * rate * time + phase is a multiple of 2 * pi.
    """
    power = np.square(clip.astype(np.float64)).sum(axis=0)
    num_padded = 4 * len(power)  # so that the rate is found more finely than a cycle in the whole clip
    spectrum = np.fft.rfft((power - power.mean()) * np.hanning(len(power)), num_padded)
    hz = np.fft.rfftfreq(num_padded, 1 / sample_rate_hz)
    sought = np.flatnonzero((hz >= PULSES_HZ[0]) & (hz <= PULSES_HZ[1]))
    peak = sought[np.argmax(np.abs(spectrum[sought]))] if len(sought) else 1
    return float(hz[peak]), float(np.angle(spectrum[peak]))


def seconds(clip: Waveform, setting: Setting) -> Array:
    """(T,): the time of each sample."""
    times: Array = np.arange(clip.shape[1]) / setting.sample_rate_hz
    return times


def unit(wave: Array) -> Array:
    """The wave at RMS 1; silence stays silence."""
    scaled: Array = wave / max(float(np.sqrt(np.mean(wave**2))), 1e-12)
    return scaled
