"""The library of faults by name, and how one is applied to a clip.

A fault is a function of a clip (C, T), its rate, a strength and a seeded generator, so equal arguments give equal bits.
After it each channel is brought to the level that it had, so that no fault is given away by loudness alone.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from core.data.audio import Waveform
from core.data.faults.machine import missing_pulses, modulation, resonance, speed_drop
from core.data.faults.microphones import loose_contact, muffled, overload
from core.data.faults.signals import Array, Setting, rms
from core.data.faults.sounds import clicks, friction, hum, rattle, tone


class Fault(Protocol):
    """A fault of the library."""

    def __call__(self, clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array: ...


LIBRARY: Mapping[str, Fault] = {
    "missing pulses": missing_pulses,
    "modulation": modulation,
    "resonance": resonance,
    "speed drop": speed_drop,
    "tone": tone,
    "hum": hum,
    "friction": friction,
    "clicks": clicks,
    "rattle": rattle,
    "loose contact": loose_contact,
    "muffled": muffled,
    "overload": overload,
}
LIBRARY_VERSION = 1
"""Part of the key of a training. Raise it when a fault sounds otherwise than before."""
STRENGTHS: Mapping[str, float] = {"just audible": 1.0, "clear": 3.0, "plain": 9.0}
"""Ten and twenty decibels above what is just audible. With weaker ones, of which good detectors miss most, flagging
every clip has a better F1 than any of them."""
HIGHEST_HZ = 1600.0
"""The highest pitch by default: four fifths of the band at 4 kHz, which is the default rate of studies."""


def apply_fault(name: str, clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Waveform:
    """(C, T) float32: the clip with the fault, each channel with the mean and the RMS that it had."""
    faulty = LIBRARY[name](clip, setting=setting, random=random)
    levels = rms(clip.astype(np.float64)), rms(faulty)
    gain = levels[0] / np.where(levels[1] > 0, levels[1], 1)
    own, other = (wave.mean(axis=-1, keepdims=True, dtype=np.float64) for wave in (clip, faulty))
    matched: Waveform = (own + gain * (faulty - other)).astype(np.float32)
    return matched
