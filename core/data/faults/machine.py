"""Faults that change the machine's own sound: missing pulses, modulation, a resonance, a drop of speed.

All microphones hear the change, the nearest in full. Each function takes a clip (C, T) and returns (C, T) float64, and
draws only from `random`.
"""

import numpy as np

from core.data.audio import Waveform
from core.data.faults.signals import Array, Setting, change_sound, draw_pitch, pulse_rate, seconds

MISSING_DB = 3.0
MODULATION = 0.08
"""The ear hears a modulation of about 5 % (Zwicker and Fastl)."""
RESONANCE_DB, RESONANCE_QUALITY = 3.0, 6.0
SPEED_DROP = 0.01
RAMP_SECONDS = 0.05
UPSAMPLING = 8
"""So that a straight line between two samples is accurate enough for a resampled clip."""


def missing_pulses(clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array:
    """A cylinder, a pole or a tooth that does not do its part: every second to fourth pulse of the machine is softer.

    At strength 1 by 3 dB, at strength s by 3 s dB. The pulses are the strongest rise and fall of power at 4 to 60 Hz.
    """
    rate_hz, phase = pulse_rate(clip, setting.sample_rate_hz)
    every = int(random.integers(2, 5))
    number = rate_hz * seconds(clip, setting) + phase / (2 * np.pi) + random.integers(every)
    from_missing = (number + every / 2) % every - every / 2  # in pulses, from the nearest one that is missing
    dip = np.where(np.abs(from_missing) < 0.5, np.cos(np.pi * from_missing) ** 2, 0.0)
    return change_sound(clip, clip * 10 ** (-MISSING_DB * setting.strength * dip / 20), random)


def modulation(clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array:
    """An unbalance or a bent shaft: the level swells and fades 2 to 12 times a second, by 8 % at strength 1."""
    turns = 2 * np.pi * random.uniform(2, 12) * seconds(clip, setting) + random.uniform(0, 2 * np.pi)
    return change_sound(clip, clip * (1 + MODULATION * setting.strength * np.sin(turns)), random)


def resonance(clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array:
    """A loose panel or a cracked part resonates: a peak of quality 6 in the spectrum, of 3 dB at strength 1.

    At strength s the peak has 3 s dB.
    """
    from scipy import signal  # here, because a survey should not wait for it

    gain = 10 ** (RESONANCE_DB * setting.strength / 20)
    top, bottom = signal.iirpeak(draw_pitch(setting, random), RESONANCE_QUALITY, fs=setting.sample_rate_hz)
    peak = signal.lfilter(top, bottom, clip.astype(np.float64), axis=-1)
    return change_sound(clip, clip + (gain - 1) * peak, random)


def speed_drop(clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array:
    """A belt slips or a load drags: from a moment in the middle third on, the machine is slower by 1 % at strength 1.

    The whole sound is lower by as much, at all microphones alike. The change takes 50 ms.
    """
    from scipy import signal  # here, because a survey should not wait for it

    num_samples, rate_hz = clip.shape[1], setting.sample_rate_hz
    moment_s = random.uniform(1 / 3, 2 / 3) * num_samples / rate_hz
    ramp = np.clip((seconds(clip, setting) - moment_s) / RAMP_SECONDS, 0, 1)
    speed = 1 - SPEED_DROP * setting.strength * ramp
    places = np.concatenate([[0.0], np.cumsum(speed)[:-1]])
    mean = clip.mean(axis=-1, keepdims=True, dtype=np.float64)
    dense = signal.resample(clip - mean, UPSAMPLING * num_samples, axis=-1)
    grid = np.arange(UPSAMPLING * num_samples) / UPSAMPLING
    slower: Array = mean + np.stack([np.interp(places, grid, channel) for channel in dense])
    return slower
