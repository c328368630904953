"""Statistics of a frame: each hears what it is named after, in its own frame and channel."""

import numpy as np
import pytest

from core.model.frame_statistics import (
    NUM_BANDS,
    WINDOW_MS,
    FrameVectors,
    band_edges_hz,
    num_statistics,
    prediction_statistics,
    sound_statistics,
    statistic_groups,
)
from core.model.innovations import Samples

RATE_HZ, FRAME = 4000, 100
BIN_HZ = 1000 / WINDOW_MS
NUM_SAMPLES = 40 * FRAME


def white(num_channels: int = 2, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).standard_normal((num_channels, NUM_SAMPLES)).astype(np.float32)


def statistics(z: Samples, sound: Samples | None = None) -> FrameVectors:
    flat, sound = np.full_like(z, 3.0), z if sound is None else sound
    finer = sound.shape[-1] // z.shape[-1]
    predicted = prediction_statistics(flat, flat, z, frame_samples=FRAME, sample_rate_hz=RATE_HZ)
    heard = sound_statistics(sound, frame_samples=finer * FRAME, sample_rate_hz=finer * RATE_HZ)
    return np.concatenate([predicted, heard], axis=-1)


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
    loudest = bands[0, 5:-5].mean(axis=0).argmax()
    edges = band_edges_hz(RATE_HZ)
    assert edges[loudest] - BIN_HZ <= hz <= edges[loudest + 1] + BIN_HZ


def test_a_sound_of_a_higher_rate_is_heard_above_what_the_network_hears() -> None:
    z, finer = white(), np.random.default_rng(1).standard_normal((2, 4 * NUM_SAMPLES)).astype(np.float32)
    finer[0, 2 * NUM_SAMPLES :] += 3 * np.sin(2 * np.pi * 5000 * np.arange(2 * NUM_SAMPLES) / (4 * RATE_HZ))
    vectors = statistics(z, finer)
    assert vectors.shape == (2, 40, num_statistics(2))
    bands = group(vectors, "spectrum").astype(float)
    rise = bands[0, 25:-5].mean(axis=0) - bands[0, 5:15].mean(axis=0)
    edges = band_edges_hz(4 * RATE_HZ)
    assert edges[rise.argmax()] - BIN_HZ <= 5000 <= edges[rise.argmax() + 1] + BIN_HZ
    np.testing.assert_array_equal(group(vectors, "colour"), group(statistics(z), "colour"))


@pytest.mark.parametrize("rate_hz", [800, 4000, 48_000])
def test_bands_cover_everything_that_can_be_heard_and_widen(rate_hz: int) -> None:
    edges = band_edges_hz(rate_hz)
    assert (edges[0], len(edges)) == (0, NUM_BANDS + 1)
    assert edges[-1] == pytest.approx(rate_hz / 2)
    assert (np.diff(edges, 2) > 0).all()


@pytest.mark.parametrize("rate_hz", [500, 4000, 48_000])
def test_every_band_of_white_sound_has_its_energy(rate_hz: int) -> None:
    z = np.random.default_rng(0).standard_normal((1, rate_hz)).astype(np.float32)
    vectors = prediction_statistics(z, z, z, frame_samples=rate_hz // 20, sample_rate_hz=rate_hz)
    energies = np.exp(group(vectors, "colour").astype(float)).mean(axis=(0, 1))
    num_bins = 1 + round(WINDOW_MS * rate_hz / 1000) // 2
    assert np.abs(energies[:num_bins] - 1).max() < 0.7
    assert (energies[num_bins:] < 1e-3).all(), "bands beyond the last bin"


def test_knocks_are_impulses_and_not_a_matter_of_level() -> None:
    z = white()
    z[0, NUM_SAMPLES // 2 :: RATE_HZ // 10] += 12
    impulses = group(statistics(z), "impulses").astype(float)
    before, knocking = impulses[:, :15].mean(axis=1), impulses[:, 25:].mean(axis=1)
    flatness, crest = knocking[0] - before[0]
    assert flatness > 0.1
    assert crest > 0.5
    np.testing.assert_allclose(knocking[1], before[1], atol=0.2)
    louder = group(statistics(3 * z), "impulses").astype(float)
    np.testing.assert_allclose(louder, impulses, atol=0.05)
    np.testing.assert_allclose(group(statistics(np.zeros_like(z)), "impulses"), 0, atol=1e-5)


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
    assert set(changed) <= set(range(17, 25)), "windows of 128 ms reach into the frames beside them"
    assert {20, 21} <= set(changed)


def test_gain_is_the_level_and_nothing_else() -> None:
    quiet, loud = statistics(white(), white()), statistics(white(), 10 * white())
    np.testing.assert_allclose(group(loud, "level") - group(quiet, "level"), 20, atol=0.05)
    np.testing.assert_allclose(group(loud, "spectrum"), group(quiet, "spectrum"), atol=0.01)


def test_an_offset_is_no_sound() -> None:
    sound = 0.01 * white()
    np.testing.assert_allclose(statistics(white(), sound + np.float32(0.05)), statistics(white(), sound), atol=0.02)


def test_silence_is_finite_and_a_clip_without_a_frame_is_empty() -> None:
    silent = np.zeros((2, NUM_SAMPLES), np.float32)
    assert np.isfinite(statistics(silent)).all()
    assert statistics(white()[:, : FRAME - 1]).shape == (2, 0, num_statistics(2))
    assert np.isfinite(statistics(white()[:, : FRAME + 1])).all()
