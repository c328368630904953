"""The sound of a toy car on its stand, by a simple physical model: a stand-in for recordings, and not one of them.

Three sources sound at once, each a function of the angles of the motor's shaft and of the axle: the motor (rotation,
commutation, brushes), the gears (mesh of the teeth), the wheels (rolling). Each goes to every microphone through its
own delay, gain and the body's resonances; room noise and the microphone's own noise join there.
C microphones, T samples, S sources; angles are (T,) in radians.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.fft

from core.recordings import Waveform

Signal = npt.NDArray[np.float64]
Fault = Literal[
    "bent shaft", "deformed gears", "melted gears", "plastic ribbon", "steel ribbon", "under voltage", "over voltage"
]

SYNTHESIS_VERSION = 1
"""Raise it with every change of the sound: recordings' digests hold it."""

SHAFT_HZ = 62.0
COMMUTATIONS_PER_TURN = 6
PINION_TEETH = 10
CROWN_TEETH = 34
WARM_UP_SECONDS = 0.25
"""Synthesised before the take and thrown away: filters are circular, and their tails wrap into it."""
LEVEL_RANGE_DB = 7.0
"""Takes are this much louder or quieter than MEAN_RMS, whatever their label: loudness says nothing."""
MEAN_RMS = 0.06
RESONANCES_HZ = (340.0, 810.0, 1270.0, 1660.0)
PARTIAL_SPREAD_DB = 3.0
SPEED_OF_SOUND_M_PER_S = 343.0


@dataclass(frozen=True, kw_only=True)
class Body:
    """What stays the same from take to take of one car: its parts and where the microphones stand."""

    shaft_hz: float
    phases: Signal
    """(16,) radians, of the harmonics."""
    resonances_hz: Signal
    """(4,)."""
    mode_gains: Signal
    """(C, S, 4): how strongly each resonance is heard of each source at each microphone."""
    gains: Signal
    """(C, S)."""
    delays_s: Signal
    """(C, S)."""
    noise_delays_s: Signal
    """(C,), of the noise that the room has in common."""


@dataclass(frozen=True, kw_only=True)
class TakeSetting:
    """One take of it."""

    faults: tuple[Fault, ...]
    level: float
    """-1 (quietest) to 1 (loudest)."""
    seed: tuple[int, ...]


def build_body(num_microphones: int, random: np.random.Generator) -> Body:
    """A car and its stand. The first one and the next differ by a few per cent in everything, and in their echoes."""
    num_sources = 3
    distances_m = random.uniform(0.15, 0.5, (num_microphones, num_sources))
    return Body(
        shaft_hz=SHAFT_HZ * random.uniform(0.92, 1.08),
        phases=random.uniform(0, 2 * np.pi, 16),
        resonances_hz=np.array(RESONANCES_HZ) * random.uniform(0.93, 1.07, len(RESONANCES_HZ)),
        mode_gains=random.normal(0, 1.2, (num_microphones, num_sources, len(RESONANCES_HZ))),
        gains=0.25 / distances_m,
        delays_s=distances_m / SPEED_OF_SOUND_M_PER_S,
        noise_delays_s=random.uniform(0, 0.004, num_microphones),
    )


def synthesise(body: Body, setting: TakeSetting, *, sample_rate_hz: int, num_samples: int) -> Waveform:
    """(C, T) float32. The same for the same body, setting, rate and length."""
    random = np.random.default_rng(setting.seed)
    num_padded = scipy.fft.next_fast_len(num_samples + round(WARM_UP_SECONDS * sample_rate_hz), real=True)
    time_s = np.arange(num_padded) / sample_rate_hz
    shaft = _shaft_angle(body, setting.faults, time_s, random)
    axle = shaft * PINION_TEETH / CROWN_TEETH
    load = random.uniform(0.85, 1.2)
    sources = np.stack(
        [
            _motor(body, setting.faults, shaft, load, random),
            _gears(body, setting.faults, shaft, axle, load, random),
            _wheels(body, setting.faults, axle, time_s, random),
        ]
    )
    heard = _to_microphones(body, sources, sample_rate_hz) + _noise(body, num_padded, sample_rate_hz, random)
    return _at_level(heard[:, -num_samples:], setting.level)


def _shaft_angle(body: Body, faults: tuple[Fault, ...], time_s: Signal, random: np.random.Generator) -> Signal:
    speed = 1 + random.uniform(-0.06, 0.06)
    if "under voltage" in faults:
        speed *= random.uniform(0.93, 0.98)
    if "over voltage" in faults:
        speed *= random.uniform(1.02, 1.07)
    wander_hz = random.uniform(0.2, 3.0, 4)
    wander = 0.003 * np.sin(2 * np.pi * (wander_hz[:, None] * time_s + random.uniform(0, 1, (4, 1)))).sum(axis=0)
    shaft_hz = body.shaft_hz * speed * (1 + wander)
    angle: Signal = 2 * np.pi * np.cumsum(shaft_hz) * (time_s[1] - time_s[0])
    return angle + random.uniform(0, 1e3)


def _motor(
    body: Body, faults: tuple[Fault, ...], shaft: Signal, load: float, random: np.random.Generator
) -> Signal:
    rotation = _harmonics(shaft, (0.5, 0.25, 0.12, 0.08), body.phases, random)
    commutator = COMMUTATIONS_PER_TURN * shaft
    commutation = _harmonics(commutator, (0.6, 0.35, 0.3, 0.2), body.phases[4:], random)
    sparks = random.normal(size=len(shaft)) * (0.3 + _bumps(commutator, 4))
    brushes = 0.10
    if "under voltage" in faults:
        commutation *= 1 + 0.35 * _held_noise(commutator, random)
        brushes *= 1.3
    if "over voltage" in faults:
        brushes *= random.uniform(1.5, 2.2)
    return rotation + load * commutation + brushes * load * sparks


def _gears(
    body: Body, faults: tuple[Fault, ...], shaft: Signal, axle: Signal, load: float, random: np.random.Generator
) -> Signal:
    mesh = PINION_TEETH * shaft
    strength, friction, eccentricity = 1.0, 0.05, 0.12
    if "bent shaft" in faults:
        eccentricity = random.uniform(0.4, 0.7)
    if "melted gears" in faults:
        mesh = mesh + random.uniform(0.5, 0.9) * _held_noise(mesh, random)
        strength, friction = 0.7, 0.12
    teeth = _harmonics(mesh, (0.7, 0.4, 0.2), body.phases[8:], random)
    turning = 1 + eccentricity * np.cos(axle + body.phases[11]) + 0.1 * np.cos(shaft + body.phases[12])
    rubbing = friction * random.normal(size=len(mesh)) * (0.4 + _bumps(mesh, 2))
    if "bent shaft" in faults:
        rubbing += random.uniform(0.15, 0.35) * random.normal(size=len(mesh)) * _bumps(axle, 6)
    if "deformed gears" in faults:
        rubbing += random.uniform(0.5, 1.0) * random.normal(size=len(mesh)) * _bumps(axle, 60)
    return load * (strength * teeth * turning + rubbing)


def _wheels(
    body: Body, faults: tuple[Fault, ...], axle: Signal, time_s: Signal, random: np.random.Generator
) -> Signal:
    thump = _harmonics(axle, (0.0, 0.3, 0.2, 0.2, 0.1), body.phases[11:], random)
    rolling = 0.08 * random.normal(size=len(axle)) * (1 + 0.3 * np.cos(axle))
    if "plastic ribbon" in faults:
        slaps = random.normal(size=len(axle)) * _bumps(axle, 20)
        rolling += random.uniform(0.3, 0.8) * slaps * _while(time_s, random.uniform(0.5, 1.2), random)
    if "steel ribbon" in faults:
        clicks = random.normal(size=len(axle)) * _bumps(2 * axle, 80)
        rolling += random.uniform(0.5, 1.2) * clicks * _while(time_s, random.uniform(0.4, 1.0), random)
    return thump + rolling


def _harmonics(
    angle: Signal, amplitudes: tuple[float, ...], phases: Signal, random: np.random.Generator
) -> Signal:
    gains_db = random.normal(0, PARTIAL_SPREAD_DB, len(amplitudes))
    gains = np.array(amplitudes) * 10 ** (gains_db / 20)
    gains *= np.linalg.norm(amplitudes) / np.linalg.norm(gains)
    total = np.zeros_like(angle)
    for order, (amplitude, phase) in enumerate(zip(gains, phases, strict=False), start=1):
        total += amplitude * np.cos(order * angle + phase)
    return total


def _bumps(angle: Signal, sharpness: int) -> Signal:
    """Once a turn, from 0 to 1 and back; about 2 / sqrt(sharpness) radians wide."""
    bumps: Signal = (0.5 + 0.5 * np.cos(angle)) ** sharpness
    return bumps


def _held_noise(angle: Signal, random: np.random.Generator) -> Signal:
    """Standard normal, drawn anew at every turn of `angle`: no two teeth, no two commutations are alike."""
    turn = np.floor(angle / (2 * np.pi)).astype(np.int64)
    held: Signal = random.normal(size=turn[-1] - turn[0] + 1)[turn - turn[0]]
    return held


def _while(time_s: Signal, seconds: float, random: np.random.Generator) -> Signal:
    """1 during a stretch of the take, 0 elsewhere."""
    first = random.uniform(WARM_UP_SECONDS, max(time_s[-1] - seconds, WARM_UP_SECONDS))
    return ((time_s >= first) & (time_s < first + seconds)).astype(np.float64)


def _to_microphones(body: Body, sources: Signal, sample_rate_hz: int) -> Signal:
    """(S, T) to (C, T): each source through its path, a delay and a sum of two-pole resonances beside the direct sound."""
    num_samples = sources.shape[1]
    frequency_hz = scipy.fft.rfftfreq(num_samples, 1 / sample_rate_hz)
    centre_hz, quality = body.resonances_hz[:, None], 9.0
    bandwidth = 1j * frequency_hz * centre_hz / quality
    modes = bandwidth / (centre_hz**2 - frequency_hz**2 + bandwidth)
    paths = body.gains[..., None] * (0.5 + np.einsum("csk,kf->csf", body.mode_gains, modes))
    paths = paths * np.exp(-2j * np.pi * frequency_hz * body.delays_s[..., None])
    spectra = np.einsum("csf,sf->cf", paths, scipy.fft.rfft(sources))
    heard: Signal = scipy.fft.irfft(spectra, num_samples)
    return heard


def _noise(body: Body, num_samples: int, sample_rate_hz: int, random: np.random.Generator) -> Signal:
    """(C, T): the room's, falling with frequency and partly the same everywhere, and each microphone's own."""
    num_microphones = len(body.gains)
    frequency_hz = scipy.fft.rfftfreq(num_samples, 1 / sample_rate_hz)
    colour = 1 / np.sqrt(1 + (frequency_hz / 150) ** 2)
    level = 10 ** (random.normal(0, 1.0) / 20)
    common = scipy.fft.rfft(random.normal(size=num_samples)) * colour
    delayed = common * np.exp(-2j * np.pi * frequency_hz * body.noise_delays_s[:, None])
    local = scipy.fft.rfft(random.normal(size=(num_microphones, num_samples))) * colour
    room: Signal = scipy.fft.irfft(0.7 * delayed + 0.7 * local, num_samples)
    return 0.15 * level * room + 0.02 * random.normal(size=(num_microphones, num_samples))


def _at_level(heard: Signal, level: float) -> Waveform:
    rms = MEAN_RMS * 10 ** (level * LEVEL_RANGE_DB / 20)
    scaled = heard * rms / np.sqrt(np.mean(heard**2))
    return (scaled * min(1.0, 0.99 / np.abs(scaled).max())).astype(np.float32)
