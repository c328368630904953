"""Statistics of a frame: each hears what it is named after, in its own frame and channel."""

import numpy as np
import pytest

from core.model.frame_statistics import NUM_BANDS, FrameVectors, frame_statistics, num_statistics, statistic_groups
from core.model.innovations import Samples

RATE_HZ, FRAME = 4000, 100
NUM_SAMPLES = 40 * FRAME


def white(num_channels: int = 2, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).standard_normal((num_channels, NUM_SAMPLES)).astype(np.float32)


def statistics(z: Samples, sound: Samples | None = None) -> FrameVectors:
    flat = np.full_like(z, 3.0)
    return frame_statistics(flat, flat, z, z if sound is None else sound, frame_samples=FRAME, sample_rate_hz=RATE_HZ)


def group(vectors: FrameVectors, name: str) -> FrameVectors:
    return vectors[..., statistic_groups(len(vectors))[name]]


def tone(hz: float) -> Samples:
    return np.tile(np.sin(2 * np.pi * hz * np.arange(NUM_SAMPLES) / RATE_HZ), (2, 1)).astype(np.float32)


@pytest.mark.parametrize("num_channels", [1, 2, 8])
def test_groups_lie_side_by_side(num_channels: int) -> None:
    places = list(statistic_groups(num_channels).values())
    assert [place.start for place in places[1:]] == [place.stop for place in places[:-1]]
    assert statistics(white(num_channels)).shape == (num_channels, 40, num_statistics(num_channels))


@pytest.mark.parametrize("hz", [100.0, 1010.0, 1900.0])
def test_a_tone_is_heard_in_its_own_band(hz: float) -> None:
    bands = group(statistics(white(), white() + 3 * tone(hz)), "spectrum")
    assert (bands[0, 5:-5].mean(axis=0).argmax()) == int(hz / (RATE_HZ / 2) * NUM_BANDS)


def test_white_innovations_have_no_colour_and_no_correlations() -> None:
    vectors = statistics(white())
    assert np.abs(np.exp(group(vectors, "colour").astype(float)).mean(axis=1) - 1).max() < 0.5
    assert np.abs(group(vectors, "whiteness").mean(axis=1)).max() < 0.1


def test_correlations_over_time_and_between_microphones_are_seen() -> None:
    z = white()
    z[:, 2:] += z[:, :-2]
    z[1] = z[0]
    whiteness = group(statistics(z), "whiteness").mean(axis=1)
    assert whiteness[0, 1] > 0.7, "two samples apart"
    assert np.abs(whiteness[0, [0, 2]]).max() < 0.3
    assert whiteness[0, -1] > 1.5, "the other microphone"


def test_a_change_is_in_its_frames_alone() -> None:
    z = white()
    louder = z.copy()
    louder[1, 20 * FRAME : 22 * FRAME] *= 3
    changed = np.flatnonzero((group(statistics(louder), "colour") != group(statistics(z), "colour")).any(axis=(0, 2)))
    assert set(changed) <= set(range(18, 24))
    assert {20, 21} <= set(changed)


def test_gain_is_the_level_and_nothing_else() -> None:
    quiet, loud = statistics(white(), white()), statistics(white(), 10 * white())
    np.testing.assert_allclose(group(loud, "level") - group(quiet, "level"), 20, atol=0.05)
    np.testing.assert_allclose(group(loud, "spectrum"), group(quiet, "spectrum"), atol=0.01)


def test_silence_is_finite_and_a_clip_without_a_frame_is_empty() -> None:
    silent = np.zeros((2, NUM_SAMPLES), np.float32)
    assert np.isfinite(statistics(silent)).all()
    assert statistics(white()[:, : FRAME - 1]).shape == (2, 0, num_statistics(2))
    assert np.isfinite(statistics(white()[:, : FRAME + 1])).all()
