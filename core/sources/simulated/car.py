"""A simple physical model of the sound of a toy car on its stand, for use without recordings.

Three sources sound at once, each a function of the angles of the motor's shaft and of the axle: the motor (rotation,
commutation, brushes), the gears (mesh of the teeth, friction) and the wheels (rolling). Each source reaches every
microphone with a separate delay, gain and set of resonances of the body. Room noise and the microphone's own noise are
added.

Normal takes vary in speed, load, balance of the partials, wobble, noise and level. This variation is as large as the
effect of a fault on level and spectrum, so faults show mainly in how well the next sample can be predicted.
C microphones, T samples, S sources; angles are (T,) in radians.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import scipy.fft

from core.data.audio import Waveform
from core.sources.simulated.signals import Array, SignalMaker, once_a_turn

Fault = Literal[
    "bent shaft", "deformed gears", "melted gears", "plastic ribbon", "steel ribbon", "under voltage", "over voltage"
]
Severities = Mapping[Fault, float]
"""0 for a fault that the take does not have, about 1 for a single fault, less for each of several."""

SYNTHESIS_VERSION = 2
"""Part of every recording's digest. Raise it with each change of the sound."""

SHAFT_HZ = 62.0
COMMUTATIONS_PER_TURN = 6
PINION_TEETH = 10
CROWN_TEETH = 34
RESONANCES_HZ = (340.0, 810.0, 1270.0, 1660.0)
QUALITY = 9.0
NUM_SOURCES = 3
SPEED_OF_SOUND_M_PER_S = 343.0

SPEED_SPREAD = 0.045
"""Normal takes are slower or faster by up to this fraction. A wrong voltage adds 0.02 to 0.07: the ranges overlap."""
MEAN_RMS = 0.06
LEVEL_RANGE_DB = 7.0
"""Takes of both labels are quieter or louder than MEAN_RMS by up to this much."""
WARM_UP_SECONDS = 0.25
"""Synthesised before the take and removed, because filters are circular and their tails wrap into the beginning."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """The constants of one car: its parts, and the places of the microphones."""

    shaft_hz: float
    phases: Array
    """(16,) radians, of the partials."""
    resonances_hz: Array
    """(4,)."""
    mode_gains: Array
    """(C, S, 4): the gain of each resonance from each source to each microphone."""
    distances_m: Array
    """(C, S)."""
    noise_delays_s: Array
    """(C,), of the noise that all microphones record."""


@dataclass(frozen=True, kw_only=True)
class TakeSetting:
    """The settings of one take of a car."""

    faults: tuple[Fault, ...]
    """Empty for a normal take."""
    severity: float = 1.0
    """Scales the effect of every fault."""
    level: float
    """-1 (quietest) to 1 (loudest)."""
    seed: tuple[int, ...]
    """For everything else that varies from take to take."""


def build_body(num_microphones: int, random: np.random.Generator) -> Body:
    """A car and its stand. Two cars differ by a few per cent in their parts, and in the gains to the microphones."""
    return Body(
        shaft_hz=SHAFT_HZ * random.uniform(0.94, 1.06),
        phases=random.uniform(0, 2 * np.pi, 16),
        resonances_hz=np.array(RESONANCES_HZ) * random.uniform(0.93, 1.07, len(RESONANCES_HZ)),
        mode_gains=random.normal(0, 1.2, (num_microphones, NUM_SOURCES, len(RESONANCES_HZ))),
        distances_m=random.uniform(0.15, 0.5, (num_microphones, NUM_SOURCES)),
        noise_delays_s=random.uniform(0, 0.004, num_microphones),
    )


def synthesise(body: Body, setting: TakeSetting, *, sample_rate_hz: int, num_samples: int) -> Waveform:
    """(C, T) float32 within full scale. Equal arguments give equal takes."""
    num_padded = scipy.fft.next_fast_len(num_samples + round(WARM_UP_SECONDS * sample_rate_hz), real=True)
    random = np.random.default_rng(setting.seed)
    make = SignalMaker(sample_rate_hz=sample_rate_hz, num_samples=num_padded, random=random)
    severities = _severities(setting, random)
    shaft = _shaft_angle(body, severities, make)
    axle = shaft * PINION_TEETH / CROWN_TEETH
    load = random.uniform(0.85, 1.2)
    motor = load * _motor(body, severities, shaft, make)
    gears = load * _gears(body, severities, shaft, axle, make)
    wheels = _wheels(body, severities, axle, make)
    wobble_db = random.uniform(0.3, 2.3) * make.slow_wave(0.2, 2.5)
    heard = _to_microphones(body, np.stack([motor, gears, wheels]) * 10 ** (wobble_db / 20), make) + _room(body, make)
    return _at_level(heard[:, -num_samples:], setting.level)


def _severities(setting: TakeSetting, random: np.random.Generator) -> Severities:
    each = setting.severity * random.uniform(0.75, 1.25) * (1.0 if len(setting.faults) < 2 else 0.7)
    return {fault: each if fault in setting.faults else 0.0 for fault in get_args(Fault)}


def _shaft_angle(body: Body, severities: Severities, make: SignalMaker) -> Array:
    speed = 1 + make.random.uniform(-SPEED_SPREAD, SPEED_SPREAD)
    voltage = make.random.uniform(0.02, 0.07)
    speed += voltage * ((severities["over voltage"] > 0) - (severities["under voltage"] > 0))
    shaft_hz = body.shaft_hz * speed * (1 + 0.004 * make.slow_wave(0.2, 3.0))
    angle: Array = 2 * np.pi * np.cumsum(shaft_hz) / make.sample_rate_hz
    return angle + make.random.uniform(0, 1000)


def _motor(body: Body, severities: Severities, shaft: Array, make: SignalMaker) -> Array:
    """At a wrong voltage the commutations differ from each other; at overvoltage the brushes also spark."""
    under, over = severities["under voltage"], severities["over voltage"]
    commutator = COMMUTATIONS_PER_TURN * shaft
    rotation = make.partials(shaft, (0.5, 0.25, 0.12, 0.08), body.phases)
    commutation = make.partials(commutator, (0.6, 0.35, 0.3, 0.2), body.phases[4:])
    commutation *= 1 + 0.3 * (under + over) * make.held_noise(commutator)
    brushes = 0.1 * (1 + 0.25 * under + 2.0 * over) * (0.3 + once_a_turn(commutator, 4))
    return rotation + commutation + brushes * make.white_noise()


def _gears(body: Body, severities: Severities, shaft: Array, axle: Array, make: SignalMaker) -> Array:
    """Melted teeth mesh unevenly and rub, a deformed tooth knocks once a turn, and a bent shaft sways and rubs."""
    melted, deformed, bent = (severities[f] for f in ("melted gears", "deformed gears", "bent shaft"))
    mesh = PINION_TEETH * shaft
    mesh = mesh + 0.6 * melted * make.held_noise(mesh)
    teeth = make.partials(mesh, (0.7, 0.4, 0.2), body.phases[8:])
    eccentricity = make.random.uniform(0.1, 0.4) + 0.2 * bent
    sidebands = 1 + eccentricity * np.cos(axle + body.phases[11]) + 0.1 * np.cos(shaft + body.phases[12])
    friction: Array = (0.05 + 0.035 * melted) * (0.4 + once_a_turn(mesh, 2))
    friction += 0.7 * bent * once_a_turn(axle, 6) + 1.6 * deformed * once_a_turn(axle, 60)
    sound: Array = teeth * sidebands + friction * make.white_noise()
    return sound


def _wheels(body: Body, severities: Severities, axle: Array, make: SignalMaker) -> Array:
    """A plastic ribbon slaps once a turn and a steel ribbon clicks twice a turn, both only in a part of the take.

    In all takes, normal ones too, there are occasional short noises from the room.
    """
    rumble = make.partials(axle, (0.0, 0.3, 0.2, 0.2, 0.1), body.phases[11:])
    slaps = once_a_turn(axle, 20) * make.during(0.5, 1.2, after_s=WARM_UP_SECONDS)
    clicks = once_a_turn(2 * axle, 80) * make.during(0.4, 1.0, after_s=WARM_UP_SECONDS)
    rolling = 0.08 * (1 + 0.3 * np.cos(axle)) + 0.4 * make.clicks(1.0, 0.012)
    rolling += 1.05 * severities["plastic ribbon"] * slaps + 1.3 * severities["steel ribbon"] * clicks
    return rumble + rolling * make.white_noise()


def _to_microphones(body: Body, sources: Array, make: SignalMaker) -> Array:
    """(S, T) to (C, T): each path has a delay, a gain, the direct sound and two-pole resonances."""
    hz, centre_hz = make.frequency_hz, body.resonances_hz[:, None]
    damping = 1j * hz * centre_hz / QUALITY
    modes = damping / (centre_hz**2 - hz**2 + damping)
    gains, delays_s = 0.25 / body.distances_m, body.distances_m / SPEED_OF_SOUND_M_PER_S
    paths = gains[..., None] * (0.5 + body.mode_gains @ modes) * np.exp(-2j * np.pi * hz * delays_s[..., None])
    spectra = np.einsum("csf,sf->cf", paths, scipy.fft.rfft(sources))
    heard: Array = scipy.fft.irfft(spectra, sources.shape[1])
    return heard


def _room(body: Body, make: SignalMaker) -> Array:
    """(C, T): the room's noise, which falls with frequency and is partly common, and each microphone's own noise."""
    num_microphones = len(body.distances_m)
    hz = make.frequency_hz
    common = scipy.fft.rfft(make.white_noise()) * np.exp(-2j * np.pi * hz * body.noise_delays_s[:, None])
    local = scipy.fft.rfft(make.white_noise(num_microphones))
    room = scipy.fft.irfft((common + local) / np.sqrt(1 + (hz / 150) ** 2), make.num_samples)
    level_db = make.random.normal(0, 1.0) + 2.0 * make.flutter(8.0)
    noise: Array = 0.1 * room * 10 ** (level_db / 20) + 0.02 * make.white_noise(num_microphones)
    return noise


def _at_level(heard: Array, level: float) -> Waveform:
    """(C, T) with an RMS over all microphones that depends only on `level`, limited to full scale."""
    rms = MEAN_RMS * 10 ** (level * LEVEL_RANGE_DB / 20)
    scaled = heard * rms / np.sqrt(np.mean(heard**2))
    waveform: Waveform = (scaled * min(1.0, 0.99 / np.abs(scaled).max())).astype(np.float32)
    return waveform
