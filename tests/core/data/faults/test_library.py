"""The library of faults: each keeps shape and level, repeats to the bit, and grows with its strength."""

import zlib

import numpy as np
import pytest

from core.data.audio import Waveform
from core.data.faults.library import HIGHEST_HZ, LIBRARY, STRENGTHS, apply_fault
from core.data.faults.machine import speed_drop
from core.data.faults.signals import Setting, pulse_rate

RATE_HZ = 4000
OF_ONE_MICROPHONE = ("muffled", "overload", "loose contact")


def sound(num_channels: int = 2, seconds: float = 2.0, rate_hz: int = RATE_HZ) -> Waveform:
    """Noise that swells ten times a second, a hum, and an offset; the channels are not equally loud."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(0).standard_normal((num_channels, len(times)))
    wave = noise * (1.2 + np.cos(2 * np.pi * 10 * times)) + np.sin(2 * np.pi * 120 * times)
    return (0.1 * np.arange(1, num_channels + 1)[:, None] * wave + 0.3).astype(np.float32)


def with_fault(name: str, clip: Waveform, *, strength: float = 2.0, seed: int = 3, rate_hz: int = RATE_HZ) -> Waveform:
    setting = Setting(sample_rate_hz=rate_hz, strength=strength, highest_hz=HIGHEST_HZ)
    return apply_fault(name, clip, setting=setting, random=np.random.default_rng(seed))


@pytest.mark.parametrize("name", LIBRARY)
@pytest.mark.parametrize("num_channels", [1, 4])
def test_a_fault_keeps_shape_mean_and_level_of_every_channel(name: str, num_channels: int) -> None:
    clip = sound(num_channels)
    faulty = with_fault(name, clip, strength=4.0)
    assert faulty.shape == clip.shape
    assert faulty.dtype == np.float32
    for figure in (np.mean, np.std):
        assert np.allclose(figure(faulty, axis=1), figure(clip, axis=1), rtol=1e-4)


@pytest.mark.parametrize("name", LIBRARY)
def test_a_fault_repeats_to_the_bit_and_another_seed_gives_another(name: str) -> None:
    first, again, other = (with_fault(name, sound(4), seed=seed) for seed in (3, 3, 4))
    assert zlib.crc32(first.tobytes()) == zlib.crc32(again.tobytes())
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", sorted(set(LIBRARY) - {"speed drop"}))
def test_a_stronger_fault_changes_the_sound_more(name: str) -> None:
    clip = sound()
    changes = [np.abs(with_fault(name, clip, strength=each) - clip).mean() for each in STRENGTHS.values()]
    assert 0 < changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("name", LIBRARY)
def test_only_a_fault_of_a_microphone_is_heard_by_one_alone(name: str) -> None:
    clip = sound(4)
    num_changed = int(np.any(np.abs(with_fault(name, clip) - clip) > 1e-5, axis=1).sum())
    assert num_changed == (1 if name in OF_ONE_MICROPHONE else 4)


@pytest.mark.parametrize("name", LIBRARY)
@pytest.mark.parametrize("clip", [np.zeros((1, 4000), np.float32), np.full((2, 700), 0.5, np.float32)])
def test_silence_and_a_constant_give_finite_sound(name: str, clip: Waveform) -> None:
    assert np.isfinite(with_fault(name, clip, strength=4.0)).all()


@pytest.mark.parametrize("rate_hz", [1000, 16_000])
@pytest.mark.parametrize("name", LIBRARY)
def test_every_rate_of_a_study_will_do(name: str, rate_hz: int) -> None:
    assert np.isfinite(with_fault(name, sound(rate_hz=rate_hz), rate_hz=rate_hz)).all()


def test_a_tone_has_the_same_pitch_at_every_rate() -> None:
    pitches = []
    for rate_hz in (4000, 16_000):
        clip = sound(1, rate_hz=rate_hz)
        added = np.abs(np.fft.rfft((with_fault("tone", clip, strength=4.0, rate_hz=rate_hz) - clip)[0]))
        pitches.append(np.fft.rfftfreq(clip.shape[1], 1 / rate_hz)[added.argmax()])
    assert pitches[0] == pytest.approx(pitches[1], abs=3.0)
    assert 200 <= pitches[0] <= HIGHEST_HZ


def test_the_pulses_of_a_machine_are_found_between_two_of_the_clip_s_own_frequencies() -> None:
    times = np.arange(RATE_HZ) / RATE_HZ  # one second, so frequencies are 1 Hz apart
    noise = np.random.default_rng(1).standard_normal((1, RATE_HZ))
    clip = (noise * (1.2 + np.cos(2 * np.pi * 13.4 * times - 1.0))).astype(np.float32)
    rate_hz, phase = pulse_rate(clip, RATE_HZ)
    assert rate_hz == pytest.approx(13.4, abs=0.3)
    tops = np.angle(np.exp(1j * (2 * np.pi * rate_hz * 0.5 + phase - (2 * np.pi * 13.4 * 0.5 - 1.0))))
    assert abs(tops) < 0.5  # in the middle of the clip


def test_a_drop_of_speed_lowers_the_pitch_after_its_moment_alone() -> None:
    times = np.arange(2 * RATE_HZ) / RATE_HZ
    clip = np.sin(2 * np.pi * 500 * times, dtype=np.float64)[None].astype(np.float32)
    setting = Setting(sample_rate_hz=RATE_HZ, strength=4.0, highest_hz=HIGHEST_HZ)
    slower = speed_drop(clip, setting=setting, random=np.random.default_rng(0))[0]

    def pitch(part: np.ndarray) -> float:
        return float(np.abs(np.fft.rfft(part * np.hanning(len(part)), 2**16)).argmax() * RATE_HZ / 2**16)

    assert pitch(slower[: RATE_HZ // 2]) == pytest.approx(500, abs=1)
    assert pitch(slower[-RATE_HZ // 2 :]) == pytest.approx(480, abs=1)
