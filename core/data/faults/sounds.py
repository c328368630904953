"""Faults that add a sound: a tone, a hum, friction, clicks, rattle.

The sound's level is measured against what masks it: the clip's own sound in the same band. All microphones hear it, the
nearest loudest. Each function takes a clip (C, T) and returns (C, T) float64, and draws only from `random`.
"""

import numpy as np

from core.data.audio import Waveform
from core.data.faults.signals import Array, Setting, about, add_sound, draw_pitch, in_band, pulse_rate, seconds, unit

AUDIBLE_TONE = 10 ** (-4 / 20)
"""RMS of a just audible tone over that of the noise in the third of an octave about it (Fletcher 1940; Zwicker)."""
AUDIBLE_NOISE = 0.5
"""RMS of added noise over the noise that is there: its level rises by 1 dB, which is the least that is heard."""
MAINS_HZ = (50.0, 60.0)
CLICK_SECONDS = 0.003
"""Decay of a click by 8.7 dB."""


def tone(clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array:
    """A whine: a tone whose pitch wavers by 0.3 % four times a second, as of a dry bearing or a gear.

    At strength 1 it is 4 dB below the clip's own sound in the third of an octave about it.
    """
    pitch_hz, times = draw_pitch(setting, random), seconds(clip, setting)
    phase = 2 * np.pi * pitch_hz * times + 0.003 * pitch_hz / 4 * np.sin(2 * np.pi * 4 * times)
    wave = np.sqrt(2) * np.sin(phase + random.uniform(0, 2 * np.pi))
    return add_sound(
        clip, wave, band_hz=about(pitch_hz), level=AUDIBLE_TONE * setting.strength, setting=setting, random=random
    )


def hum(clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array:
    """A magnetic hum: twice the frequency of the mains and its multiples, each 3 dB below the one before.

    At strength 1 it is 4 dB below the clip's own sound between the lowest and the highest of four of them.
    """
    base_hz, times = 2 * random.choice(MAINS_HZ), seconds(clip, setting)
    orders = [order for order in (1, 2, 3, 4) if order * base_hz <= max(setting.highest_hz, base_hz)]
    phases = random.uniform(0, 2 * np.pi, len(orders))
    waves = [
        2 ** (-order / 2) * np.sin(2 * np.pi * order * base_hz * times + phase)
        for order, phase in zip(orders, phases, strict=True)
    ]
    band_hz = (0.9 * base_hz, 1.1 * orders[-1] * base_hz)
    wave, level = unit(np.sum(waves, axis=0)), AUDIBLE_TONE * setting.strength
    return add_sound(clip, wave, band_hz=band_hz, level=level, setting=setting, random=random)


def friction(clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array:
    """Something rubs once a turn: noise an octave wide that swells and fades 3 to 15 times a second.

    At strength 1 its RMS is half of the clip's own in that octave.
    """
    band_hz, times = about(draw_pitch(setting, random), 0.5), seconds(clip, setting)
    noise = random.spawn(1)[0].standard_normal(len(times))  # so that what is drawn next is the same at every rate
    turns = 2 * np.pi * random.uniform(3, 15) * times + random.uniform(0, 2 * np.pi)
    wave = unit(in_band(noise, band_hz, setting.sample_rate_hz) * (0.5 + 0.5 * np.cos(turns)) ** 2)
    return add_sound(
        clip, wave, band_hz=band_hz, level=AUDIBLE_NOISE * setting.strength, setting=setting, random=random
    )


def clicks(clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array:
    """A chipped tooth or ball: a click at every second to fourth pulse of the machine, which rings for 3 ms.

    At strength 1 a click's RMS over its 3 ms is that of the clip in the octave about the click's pitch.
    """
    rate_hz, _ = pulse_rate(clip, setting.sample_rate_hz)
    period_s = random.integers(2, 5) / rate_hz
    length_s = clip.shape[1] / setting.sample_rate_hz
    moments = np.arange(random.uniform(0, period_s), length_s, period_s)
    return _rung(clip, moments, setting, random)


def rattle(clip: Waveform, *, setting: Setting, random: np.random.Generator) -> Array:
    """A loose part: in every second two bursts of 60 to 160 ms, in each 30 to 70 irregular clicks a second.

    At strength 1 a click's RMS over its 3 ms is that of the clip in the octave about the click's pitch.
    """
    length_s = clip.shape[1] / setting.sample_rate_hz
    bursts = (np.arange(max(1, round(2 * length_s))) + random.uniform(0.2, 0.8)) / 2
    moments = []
    for start_s in bursts:
        end_s = start_s + random.uniform(0.06, 0.16)
        while start_s < min(end_s, length_s):
            moments.append(start_s)
            start_s += random.uniform(0.6, 1.4) / random.uniform(30, 70)
    return _rung(clip, np.array(moments), setting, random)


def _rung(clip: Waveform, moments_s: Array, setting: Setting, random: np.random.Generator) -> Array:
    """The clip with a part that is struck at each moment and rings at one pitch, each time by up to 3 dB softer."""
    pitch_hz, rate_hz = draw_pitch(setting, random), setting.sample_rate_hz
    ringing_s = np.arange(round(6 * CLICK_SECONDS * rate_hz)) / rate_hz
    ring = np.sin(2 * np.pi * pitch_hz * ringing_s) * np.exp(-ringing_s / CLICK_SECONDS)
    ring /= max(float(np.sqrt(np.sum(ring**2) / (CLICK_SECONDS * rate_hz))), 1e-12)
    wave = np.zeros(clip.shape[1] + len(ring))
    for moment_s, gain in zip(moments_s, 10 ** (random.uniform(-3, 0, len(moments_s)) / 20), strict=True):
        first = min(int(moment_s * rate_hz), clip.shape[1])
        wave[first : first + len(ring)] += gain * ring
    band_hz = about(pitch_hz, 0.5)
    return add_sound(
        clip, wave[: clip.shape[1]], band_hz=band_hz, level=setting.strength, setting=setting, random=random
    )
