"""Modulation: what swells and fades has its octave, and what is steady has none."""

import numpy as np
import pytest

from core.decision.modulation import NUM_OCTAVES, SMALLEST, modulation

FRAME_S = 0.025


def swelling(modulation_hz: float, num_frames: int = 80, phase: float = 0.0) -> np.ndarray:
    """One clip of two channels and three bands, of which only the second channel's change."""
    bands = np.zeros((1, 2, num_frames, 3))
    bands[0, 1] = np.sin(2 * np.pi * modulation_hz * FRAME_S * np.arange(num_frames) + phase)[:, None]
    return bands - bands.mean(axis=2, keepdims=True)


@pytest.mark.parametrize(("modulation_hz", "octave"), [(1.8, 0), (3.6, 1), (7.0, 2), (14.0, 3)])
def test_what_swells_and_fades_has_its_octave(modulation_hz: float, octave: int) -> None:
    of_channels = modulation(swelling(modulation_hz))[0]
    assert of_channels.shape == (2, NUM_OCTAVES)
    assert of_channels[1].argmax() == octave
    assert of_channels[1, octave] > np.delete(of_channels[1], octave).max() + 2
    np.testing.assert_allclose(of_channels[0], np.log(SMALLEST))


def test_it_is_the_same_whenever_the_swelling_begins_and_however_long_the_clip_is() -> None:
    octave = [modulation(swelling(7.0, frames, phase))[0, 1, 2] for frames in (80, 400) for phase in (0.0, 1.0, 2.0)]
    assert np.ptp(octave) < 0.01
    noise = np.random.default_rng(0).standard_normal((20, 1, 400, 10))
    whole, parts = modulation(noise).mean(axis=0), modulation(noise[:, :, :80]).mean(axis=0)
    np.testing.assert_allclose(whole, parts, atol=0.2)
    np.testing.assert_allclose(whole, 0, atol=0.2)  # white noise of variance 1 has as much in every bin


def test_strength_is_what_is_measured() -> None:
    weak, strong = modulation(swelling(7.0))[0, 1, 2], modulation(3 * swelling(7.0))[0, 1, 2]
    assert strong - weak == pytest.approx(2 * np.log(3), abs=0.02)


@pytest.mark.parametrize("num_frames", [1, 2, 3, 5, 9, 31])
def test_any_short_clip_has_numbers(num_frames: int) -> None:
    noise = np.random.default_rng(0).standard_normal((2, 1, num_frames, 4))
    found = modulation(noise - noise.mean(axis=2, keepdims=True))
    assert np.isfinite(found).all()
    if num_frames > 3:
        assert (found > np.log(SMALLEST) + 1).all(), "an octave between two bins has the power of the nearest"
    noise[0, 0, 0, 0] = np.nan
    assert np.isnan(modulation(noise)[0]).all()
