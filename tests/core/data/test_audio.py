"""Audio in 16 bits: its rounding error, and that audio in memory and in the store are the same."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core.data.audio import LARGEST, Waveform, quantise
from core.data.recordings import Recording
from core.data.store import Store

HALF_A_STEP = 0.505
"""Of a step, with what single precision adds to it near the peak: 32767 / 2**24 twice."""

shapes = st.tuples(st.integers(1, 3), st.integers(1, 40))
waveforms = hnp.arrays(np.float32, shapes, elements=st.floats(width=32, allow_nan=False, allow_infinity=False))
ordinary = hnp.arrays(np.float32, shapes, elements=st.floats(-2, 2, width=32))


def noise(num_channels: int = 2, num_samples: int = 500, seed: int = 0) -> Waveform:
    return np.random.default_rng(seed).standard_normal((num_channels, num_samples)).astype(np.float32)


def errors_in_steps(waveform: Waveform) -> np.ndarray:
    audio = quantise(waveform)
    return np.abs(waveform.astype(np.float64) - audio.read()) / audio.steps


@given(waveforms | ordinary)
def test_what_is_read_is_finite_and_within_half_a_step_at_any_level(waveform: Waveform) -> None:
    audio = quantise(waveform)
    assert np.isfinite(audio.read()).all()
    assert errors_in_steps(waveform).max() <= HALF_A_STEP
    assert (audio.num_channels, audio.num_samples) == waveform.shape
    assert audio.read().dtype == np.float32


@pytest.mark.parametrize("level", [1e-33, 1e-20, 1e-6, 1.0, 32768.0, 1e20, 3.4e38])
def test_no_level_clips_and_the_step_is_a_share_of_the_peak(level: float) -> None:
    waveform = noise() / np.abs(noise()).max() * np.float32(level)
    audio = quantise(waveform)
    assert np.abs(audio.samples).max() == LARGEST
    np.testing.assert_allclose(audio.steps[:, 0], np.abs(waveform).max(axis=1) / LARGEST, rtol=1e-6)
    assert errors_in_steps(waveform).max() <= HALF_A_STEP


def test_a_quiet_channel_beside_a_loud_one_keeps_its_bits() -> None:
    waveform = noise() * np.array([[1.0], [1e-5]], dtype=np.float32)
    error = quantise(waveform).read() - waveform
    assert (np.sqrt(np.mean(error**2, axis=1)) < 1e-4 * np.sqrt(np.mean(waveform**2, axis=1))).all()


def test_a_channel_of_zeros_stays_zero() -> None:
    waveform = noise(3) * np.array([[1.0], [0.0], [0.5]], dtype=np.float32)
    assert not quantise(waveform).read()[1].any()
    assert quantise(waveform).read()[[0, 2]].any(axis=1).all()


def test_one_huge_sample_costs_its_own_channel_the_others_resolution_and_no_other_channel_anything() -> None:
    waveform = noise()
    spoilt = waveform.copy()
    spoilt[0, 7] = 1e6
    np.testing.assert_array_equal(quantise(spoilt).read()[1], quantise(waveform).read()[1])
    assert quantise(spoilt).read()[0, 7] == pytest.approx(1e6)
    assert np.abs(quantise(spoilt).read()[0] - spoilt[0]).max() <= 1e6 / LARGEST * HALF_A_STEP


def stored(waveform: Waveform, folder: Path) -> Recording:
    num_channels, num_samples = waveform.shape
    return Recording(
        recording_id="take",
        machine="fan",
        label="normal",
        num_channels=num_channels,
        sample_rate_hz=1000,
        num_samples=num_samples,
        digest=str(folder),
        read=lambda: waveform,
    )


positions = st.integers(-45, 45)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    waveform = noise(num_samples=40)
    folder = tmp_path_factory.mktemp("store")
    return quantise(waveform), Store(folder).add(stored(waveform, folder), 1000, waveform)


@given(start=positions, stop=st.none() | positions)
def test_any_stretch_is_bitwise_the_same_held_or_stored(both: tuple, start: int, stop: int | None) -> None:
    held, on_disk = both
    np.testing.assert_array_equal(held.read(start, stop), held.read()[:, start:stop])
    np.testing.assert_array_equal(on_disk.read(start, stop), held.read(start, stop))
    assert on_disk.read(start, stop).dtype == np.float32


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_order_in_memory_of_what_was_decoded_changes_nothing(order: str, tmp_path: Path) -> None:
    waveform = np.array(noise(), order=order)
    on_disk = Store(tmp_path).add(stored(waveform, tmp_path), 1000, waveform)
    np.testing.assert_array_equal(on_disk.read(), quantise(noise()).read())
