"""Recordings of five kinds of simulated machines, healthy and with four faults each, in the noise of a hall.

    pump       tones of its vanes, flow           leak, cavitation, clogging, unbalance
    valve      opens, hisses, closes              weak, slow, contaminated, bouncing
    slide      a carriage that goes to and fro    slipping belt, dry rail, damaged rail, squeak
    gearbox    tones of its mesh with side bands  wear, misalignment, chipped tooth, bearing
    motor      hum, slots, fan                    overload, broken bar, rubbing, arcing

Healthy takes of a machine differ in speed, in the loudness of each part, in the room around the microphone, and in the
noise of the hall: its loudness and colour, bangs, and voices. Takes are TAKE_SECONDS long, at RATE_HZ.
"""

import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

Sound = npt.NDArray[np.float64]
Random = np.random.Generator
Machine = Callable[[Random, Random, str, float], Sound]
"""From what a machine draws and what a take draws, a fault ("" for none) and its severity from 0 to 1: a take without
noise."""

RATE_HZ, TAKE_SECONDS = 16_000, 10
NUM_SAMPLES = RATE_HZ * TAKE_SECONDS
TIME_S = np.arange(NUM_SAMPLES) / RATE_HZ
NUM_HEALTHY, NUM_OF_FAULT = 120, 8
SNR_DB = 6.0
SEVERITIES = (0.35, 0.8)
LEVEL = 0.05
"""Root mean square of a take, about."""


def coloured(random: Random, slope: float, *, num_samples: int = NUM_SAMPLES) -> Sound:
    """Noise whose power falls as frequency to the power of `slope`, of variance 1."""
    spectrum = np.fft.rfft(random.standard_normal(num_samples))
    spectrum *= np.maximum(np.fft.rfftfreq(num_samples, 1 / RATE_HZ), 30) ** (slope / 2)
    noise = np.fft.irfft(spectrum, num_samples)
    return np.asarray(noise / noise.std())


def band(random: Random, low_hz: float, high_hz: float, *, num_samples: int = NUM_SAMPLES) -> Sound:
    """Noise between two frequencies, of variance 1."""
    frequencies = np.fft.rfftfreq(num_samples, 1 / RATE_HZ)
    spectrum = np.fft.rfft(random.standard_normal(num_samples))
    noise = np.fft.irfft(spectrum * ((frequencies >= low_hz) & (frequencies <= high_hz)), num_samples)
    return np.asarray(noise / noise.std())


def ring(random: Random, frequency_hz: float, decay_s: float) -> Sound:
    """A struck resonance."""
    time_s = np.arange(round(6 * decay_s * RATE_HZ)) / RATE_HZ
    return np.sin(2 * np.pi * frequency_hz * time_s + random.uniform(0, 6)) * np.exp(-time_s / decay_s)


def burst(frequency_hz: float, num_samples: int) -> Sound:
    """A tone that swells and fades."""
    return np.sin(2 * np.pi * frequency_hz * TIME_S[:num_samples]) * np.hanning(num_samples)


def add(sound: Sound, at_s: float, event: Sound) -> None:
    """Adds an event; what is beyond the take's end is lost."""
    first = int(at_s * RATE_HZ)
    sound[first : first + len(event)] += event[: max(0, len(sound) - first)]


def ringing(random: Random, rate_hz: float, low_hz: float, high_hz: float, decay_s: float) -> Sound:
    """Resonances struck at random times, `rate_hz` a second."""
    sound = np.zeros(NUM_SAMPLES)
    for at_s in random.uniform(0, TAKE_SECONDS, random.poisson(rate_hz * TAKE_SECONDS)):
        add(sound, at_s, random.exponential() * ring(random, random.uniform(low_hz, high_hz), decay_s))
    return sound


def gain(random: Random, deviation_db: float, count: int | None = None) -> npt.NDArray[np.float64]:
    """How much louder than usual parts of a take are."""
    return np.asarray(10 ** (random.normal(0, deviation_db, count) / 20))


def turning(random: Random, turns_hz: float, drift: float) -> Sound:
    """The phase of a shaft whose speed wanders by this part of itself."""
    wander = np.cumsum(random.standard_normal(NUM_SAMPLES)) / np.sqrt(NUM_SAMPLES)
    return 2 * np.pi * np.cumsum(turns_hz * (1 + drift * wander)) / RATE_HZ


def tones(random: Random, phase: Sound, amplitudes: npt.NDArray[np.floating]) -> Sound:
    """Harmonics of a phase."""
    harmonics = [a * np.sin(k * phase + random.uniform(0, 6)) for k, a in enumerate(amplitudes, start=1)]
    return np.asarray(np.sum(harmonics, axis=0, dtype=float))


def pump(machine: Random, take: Random, fault: str, severity: float) -> Sound:
    speed_hz, vanes = machine.uniform(24, 30), int(machine.integers(5, 8))
    amplitudes = machine.uniform(0.3, 1, 12) / (1 + 0.35 * np.arange(12)) * gain(take, 1.2, 12)
    phase = turning(take, speed_hz * (1 + 0.015 * take.standard_normal()), 0.002)
    flow = 0.8 * gain(take, 0.8) * coloured(take, -0.6) * (1 + 0.15 * np.sin(vanes * phase))
    if fault == "clogging":
        flow = flow * (1 - 0.45 * severity) + 0.8 * severity * band(take, 100, 500) * (np.sin(phase) > 0)
    sound = tones(take, vanes * phase, amplitudes) + 0.6 * np.sin(phase) + 0.3 * np.sin(2 * phase) + flow
    if fault == "leak":
        sound += 0.35 * severity * band(take, 3500, 7500)
    if fault == "cavitation":
        sound += 1.5 * ringing(take, 60 * severity, 2500, 6500, 0.002)
    if fault == "unbalance":
        sound += severity * (1.2 * np.sin(phase + 1) + 0.6 * np.sin(3 * phase))
    return sound


def valve(machine: Random, take: Random, fault: str, severity: float) -> Sound:
    period_s = machine.uniform(0.7, 1.1) * (1 + 0.04 * take.standard_normal())
    open_s = machine.uniform(0.2, 0.35) * (1 + 0.03 * take.standard_normal())
    opening_hz, closing_hz = machine.uniform(1500, 3000), machine.uniform(3000, 5500)
    strength = 1 - 0.6 * severity if fault == "weak" else 1.0
    open_s *= 1 + 0.5 * severity if fault == "slow" else 1.0
    sound, at_s, num_samples = np.zeros(NUM_SAMPLES), take.uniform(0, period_s), round(open_s * RATE_HZ)
    while at_s < TAKE_SECONDS:
        stroke = strength * gain(take, 1)
        hiss = band(take, 3000, 7500, num_samples=num_samples) * np.exp(-np.arange(num_samples) / RATE_HZ / 0.15)
        if fault == "contaminated":
            hiss = hiss * (1 + 0.9 * severity) + 0.8 * severity * burst(2300, num_samples)
        add(sound, at_s, 6 * stroke * ring(take, opening_hz, 0.004))
        add(sound, at_s, 0.8 * hiss)
        add(sound, at_s + open_s, 4 * stroke * ring(take, closing_hz, 0.003))
        for number in (1, 2, 3) if fault == "bouncing" else ():
            add(sound, at_s + open_s + 0.012 * number, 3 * severity / number * ring(take, 0.9 * closing_hz, 0.003))
        at_s += period_s * (1 + 0.01 * take.standard_normal())
    return gain(take, 1) * sound + 0.1 * coloured(take, -1)


def slide(machine: Random, take: Random, fault: str, severity: float) -> Sound:
    stroke_s, whine_hz = machine.uniform(1.2, 1.8), machine.uniform(500, 900)
    stroke_s *= 1 + 0.03 * take.standard_normal()
    first = take.uniform(0, 1)
    speed = np.sqrt(np.abs(np.sin(2 * np.pi * (TIME_S / stroke_s + first))))
    if fault == "slipping belt":
        speed = speed * (1 + 0.5 * severity * np.sin(2 * np.pi * 11 * TIME_S))
    phase = 2 * np.pi * np.cumsum(whine_hz * (1 + 0.01 * take.standard_normal()) * (0.2 + speed)) / RATE_HZ
    whine = tones(take, phase, 0.8 / np.arange(1, 5) ** 1.5)
    sound = speed * (whine + 0.9 * gain(take, 0.8) * coloured(take, -0.5))
    if fault == "dry rail":
        sound += 0.5 * severity * speed * band(take, 2000, 6000)
    for at_s in np.arange((1 - first) * stroke_s + 0.2, TAKE_SECONDS, stroke_s):
        if fault == "damaged rail":
            add(sound, at_s, 5 * severity * ring(take, 1200, 0.006))
        if fault == "squeak":
            add(sound, at_s, 1.2 * severity * burst(2600, 2400))
    return sound


def gearbox(machine: Random, take: Random, fault: str, severity: float) -> Sound:
    speed_hz, teeth = machine.uniform(15, 22), int(machine.integers(17, 31))
    amplitudes = machine.uniform(0.4, 1, 6) / np.arange(1, 7) ** 0.7 * gain(take, 1, 6)
    amplitudes[1] *= 1 + 1.5 * severity if fault == "misalignment" else 1.0
    phase = turning(take, speed_hz * (1 + 0.02 * take.standard_normal()), 0.003)
    side_bands = 1 + (0.15 + (0.5 * severity if fault == "wear" else 0)) * np.sin(phase)
    sound = tones(take, teeth * phase, amplitudes) * side_bands + 0.6 * gain(take, 0.8) * coloured(take, -0.4)
    knocks_a_turn, strength, frequency_hz = {"chipped tooth": (1, 4, 3100), "bearing": (4.3, 1.3, 4200)}.get(
        fault, (0, 0, 0)
    )
    for at in np.flatnonzero(np.diff(np.floor(knocks_a_turn * phase / 2 / np.pi)) > 0):
        add(sound, at / RATE_HZ + take.uniform(0, 0.001), strength * severity * ring(take, frequency_hz, 0.002))
    return sound


def motor(machine: Random, take: Random, fault: str, severity: float) -> Sound:
    slip = 1 - machine.uniform(0.93, 0.97) * (1 + 0.004 * take.standard_normal())
    turns, slots = 2 * np.pi * 25 * (1 - slip) * TIME_S, int(machine.integers(20, 36))
    hum = tones(take, 2 * np.pi * 100 * TIME_S, machine.uniform(0.2, 0.8, 4) * gain(take, 1, 4))
    whine = tones(take, slots * turns, machine.uniform(0.2, 0.5, 3) * gain(take, 1, 3))
    fan = 0.7 * gain(take, 0.8) * coloured(take, -0.7)
    if fault == "overload":
        hum, whine = hum * (1 + 0.8 * severity), whine * (1 + 0.5 * severity)
    if fault == "broken bar":
        beats = 1 + 0.5 * severity * np.sin(2 * np.pi * 100 * slip * TIME_S)
        hum, whine = hum * beats, whine * beats
    sound = hum + whine + fan
    if fault == "rubbing":
        sound += 0.5 * severity * band(take, 1000, 4000) * (np.sin(turns) > 0.3)
    if fault == "arcing":
        sound += 2 * ringing(take, 40 * severity, 3000, 7000, 0.0008)
    return sound


MACHINES: dict[str, tuple[Machine, tuple[str, ...]]] = {
    "pump": (pump, ("leak", "cavitation", "clogging", "unbalance")),
    "valve": (valve, ("weak", "slow", "contaminated", "bouncing")),
    "slide": (slide, ("slipping belt", "dry rail", "damaged rail", "squeak")),
    "gearbox": (gearbox, ("wear", "misalignment", "chipped tooth", "bearing")),
    "motor": (motor, ("overload", "broken bar", "rubbing", "arcing")),
}


def hall(random: Random) -> Sound:
    """The noise around a machine, of variance 1."""
    sound = coloured(random, random.uniform(-1.3, -0.9))
    sound += random.uniform(1, 4) * ringing(random, 0.2, 200, 3000, 0.025)
    for _ in range(random.poisson(1)):
        num_samples = int(random.integers(4000, 12_000))
        melody = 1 + 0.05 * np.sin(2 * np.pi * 3 * TIME_S[:num_samples])
        phase = 2 * np.pi * np.cumsum(random.uniform(100, 220) * melody) / RATE_HZ
        voice = tones(random, phase, 1 / np.arange(1, 15)) * np.hanning(num_samples)
        add(sound, random.uniform(0, TAKE_SECONDS - 1), random.uniform(0.3, 1) * voice)
    return np.asarray(sound / sound.std())


def echoes(machine: Random, take: Random) -> Sound:
    """The response of the room, nearly the same in all takes of a machine."""
    decay = np.exp(-np.arange(1600) / RATE_HZ / 0.02)
    response = (machine.standard_normal(1600) + 0.05 * take.standard_normal(1600)) * decay
    response[0] = 4
    return np.asarray(response / np.sqrt(np.square(response).sum()))


def drawn_from(kind: str, seed: int, *more: int) -> Random:
    """Every machine, take and noise has its own."""
    return np.random.default_rng([list(MACHINES).index(kind), seed, *more])


def recorded(kind: str, seed: int, number: int, fault: str) -> Sound:
    """A take as the microphone hears it, without the hall."""
    make, take = MACHINES[kind][0], drawn_from(kind, seed, 1, number)
    alone = make(drawn_from(kind, seed, 2), take, fault, take.uniform(*SEVERITIES))
    response = echoes(drawn_from(kind, seed, 3), take)
    padded = NUM_SAMPLES + len(response)
    heard = np.fft.irfft(np.fft.rfft(alone, padded) * np.fft.rfft(response, padded), padded)
    return np.asarray(heard[:NUM_SAMPLES])


@lru_cache(maxsize=1)
def usual_level(kind: str, seed: int) -> float:
    """Root mean square of a machine's first healthy take."""
    return float(np.sqrt(np.square(recorded(kind, seed, 0, "")).mean()))


def in_the_hall(kind: str, seed: int, number: int, fault: str) -> Sound:
    """A take as it is written."""
    random = drawn_from(kind, seed, 4, number)
    noise = gain(random, 1) * 10 ** (-SNR_DB / 20) * hall(random)
    machine = recorded(kind, seed, number, fault) / usual_level(kind, seed)
    return np.clip(LEVEL * gain(random, 0.7) * (machine + noise), -1, 1)


def written_machine(folder: Path, kind: str, *, seed: int) -> Path:
    """The folder of a machine's takes, which are written if it is not there: normal/ and anomalous/, the fault in the
    file's name."""
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        for number, fault in enumerate([""] * NUM_HEALTHY + list(MACHINES[kind][1]) * NUM_OF_FAULT):
            name = f"{(fault or kind).replace(' ', '-')}-{seed}-{number:03d}.wav"
            file = Path(scratch) / "takes" / ("anomalous" if fault else "normal") / name
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, in_the_hall(kind, seed, number, fault), RATE_HZ, subtype="PCM_16")
        (Path(scratch) / "takes").rename(folder)
    return folder
