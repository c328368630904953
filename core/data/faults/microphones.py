"""Faults of one microphone, which the others do not have: muffled, overloaded, a loose contact.

Each function takes a clip (C, T) and returns (C, T) float64, and draws only from `random`.
"""

import numpy as np

from core.data.audio import Waveform
from core.data.faults.signals import Array, Setting, rms

OVERLOAD = 2.2
"""In RMS of the clip."""
CONTACTS_PER_SECOND, CONTACT_SECONDS, CONTACT_DB, EDGE_SECONDS = 4, 0.004, -20.0, 0.001


def muffled(clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array:
    """Dirt or oil on one microphone: 12 dB an octave less above a corner, which is the highest pitch at strength 1.

    At strength s the corner is at the highest pitch over s.
    """
    from scipy import signal  # here, because a survey should not wait for it

    corner_hz = min(setting.highest_hz / setting.strength, 0.45 * setting.sample_rate_hz)
    filtered = signal.sosfilt(signal.butter(2, corner_hz, fs=setting.sample_rate_hz, output="sos"), clip, axis=-1)
    return _at_one(clip, filtered, random)


def overload(clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array:
    """An amplifier at its limit: one microphone is clipped at 2.2 RMS at strength 1, and at 2.2 / sqrt(s) at s."""
    mean = clip.mean(axis=-1, keepdims=True, dtype=np.float64)
    limit = OVERLOAD / np.sqrt(setting.strength) * rms(clip.astype(np.float64))
    return _at_one(clip, mean + np.clip(clip - mean, -limit, limit), random)


def loose_contact(clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array:
    """A bad plug: one microphone is softer by 20 dB four times a second, each time for 4 ms times the strength."""
    rate_hz, num_samples = setting.sample_rate_hz, clip.shape[1]
    length = max(1, round(CONTACT_SECONDS * setting.strength * rate_hz))
    count = max(1, round(CONTACTS_PER_SECOND * num_samples / rate_hz))
    firsts = (np.arange(count) + random.uniform(0.1, 0.9, count)) * num_samples / count
    is_off = np.zeros(num_samples)
    for first in firsts.astype(int):
        is_off[first : first + length] = 1
    edge = np.ones(max(1, round(EDGE_SECONDS * rate_hz)))
    is_off = np.convolve(is_off, edge / len(edge), mode="same")
    return _at_one(clip, clip * 10 ** (CONTACT_DB * is_off / 20), random)


def _at_one(clip: Waveform, changed: Array, random: np.random.Generator) -> Array:
    """The clip with one microphone changed, each as likely as the others."""
    mixed = clip.astype(np.float64)
    channel = int(random.integers(len(clip)))
    mixed[channel] = changed[channel]
    return mixed
