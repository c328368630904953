"""Interpolation: what follows from the frames around it has a small error, and a take that is left out has no say."""

import numpy as np
import pytest

from core.decision.interpolation import SMALLEST, Interpolator, fit_interpolator, shifted, step_frames

FRAME_MS, NUM_FRAMES, NUM_BANDS = 25.0, 60, 5


def noise(num_clips: int, *, seed: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((num_clips, channels, NUM_FRAMES, NUM_BANDS))


def swinging(num_clips: int, *, seed: int, period_frames: float = 24.0) -> np.ndarray:
    """All bands go up and down together, each clip from another phase."""
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, (num_clips, 1, 1, 1))
    swing = 2 * np.sin(2 * np.pi * np.arange(NUM_FRAMES)[:, None] / period_frames + phase)
    return swing + 0.2 * noise(num_clips, seed=seed + 100)


def fitted(clips: np.ndarray) -> Interpolator:
    return fit_interpolator(clips, range(len(clips)), frame_ms=FRAME_MS)[0]


def test_white_noise_does_not_follow_from_its_surroundings() -> None:
    errors = fitted(noise(40, seed=0)).log_errors(noise(40, seed=1))
    assert errors.shape == (40, 2, NUM_BANDS)
    assert abs(errors.mean() - np.log(1 + SMALLEST)) < 0.1


def test_a_known_swing_follows_and_a_faster_one_does_not() -> None:
    interpolator = fitted(swinging(20, seed=0))
    known, faster = swinging(20, seed=1), swinging(20, seed=1, period_frames=9)
    assert interpolator.log_errors(known).max() < np.log(0.2)
    assert interpolator.log_errors(faster).min() > interpolator.log_errors(known).max() + 1


def test_bands_that_lie_otherwise_to_each_other_do_not_follow() -> None:
    interpolator, clips = fitted(swinging(20, seed=0)), swinging(20, seed=1)
    upside_down = clips * np.array([1, -1, 1, -1, 1])
    assert interpolator.log_errors(upside_down).min() > interpolator.log_errors(clips).max() + 1


def test_what_is_constant_in_a_channel_makes_no_difference() -> None:
    offset = np.array([3.0, -40.0])[:, None, None]
    plain = fitted(swinging(20, seed=0)).log_errors(swinging(5, seed=1))
    shifted = fitted(swinging(20, seed=0) + offset).log_errors(swinging(5, seed=1) + offset)
    np.testing.assert_allclose(shifted, plain, rtol=1e-6)


def test_a_clip_that_is_left_out_is_measured_as_if_its_take_had_never_been_heard() -> None:
    clips, takes = swinging(9, seed=0), ["a", "a", "b", "c", "c", "c", "d", "d", "d"]
    _, left_out = fit_interpolator(clips, takes, frame_ms=FRAME_MS)
    for take in set(takes):
        own = np.array(takes) == take
        without, _ = fit_interpolator(clips[~own], list(np.array(takes)[~own]), frame_ms=FRAME_MS)
        np.testing.assert_allclose(left_out[own], without.log_errors(clips[own]), rtol=1e-6)


def test_an_odd_take_is_stranger_when_it_is_left_out() -> None:
    clips = np.concatenate([swinging(6, seed=0), swinging(1, seed=1, period_frames=9)])
    interpolator, left_out = fit_interpolator(clips, range(7), frame_ms=FRAME_MS)
    assert (left_out[6] > interpolator.log_errors(clips)[6]).all()
    assert left_out[6].min() > left_out[:6].max() + 1


def test_of_a_single_take_each_clip_is_left_out() -> None:
    clips = swinging(3, seed=0)
    _, of_take = fit_interpolator(clips, ["a"] * 3, frame_ms=FRAME_MS)
    _, of_clips = fit_interpolator(clips, range(3), frame_ms=FRAME_MS)
    np.testing.assert_array_equal(of_take, of_clips)


def test_a_single_clip_is_measured_by_itself() -> None:
    clips = swinging(1, seed=0)
    interpolator, left_out = fit_interpolator(clips, ["a"], frame_ms=FRAME_MS)
    np.testing.assert_array_equal(left_out, interpolator.log_errors(clips))


@pytest.mark.parametrize("num_clips", [1, 2, 4])
def test_few_frames_are_not_learned_by_heart(num_clips: int) -> None:
    """New clips of the same sound are hardly stranger than those that were learned."""
    clips = noise(num_clips, seed=0, channels=1)
    interpolator = fitted(clips)
    assert interpolator.log_errors(noise(50, seed=1, channels=1)).mean() < interpolator.log_errors(clips).mean() + 1


@pytest.mark.parametrize(("frame_ms", "frames"), [(10.0, 5), (25.0, 2), (100.0, 1)])
def test_neighbours_are_fifty_milliseconds_apart(frame_ms: float, frames: int) -> None:
    assert step_frames(frame_ms) == frames


def test_frames_beyond_the_ends_are_like_the_first_and_the_last() -> None:
    short = noise(1, seed=0)[:, :, :3]
    longer = np.concatenate([short[:, :, :1]] * 4 + [short] + [short[:, :, -1:]] * 4, axis=2)
    np.testing.assert_array_equal(shifted(short, 2), np.array(shifted(longer, 2))[:, :, :, 4:-4])


@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_clips_shorter_than_the_surroundings_have_finite_errors(num_frames: int) -> None:
    assert np.isfinite(fitted(noise(20, seed=0)).log_errors(noise(4, seed=1)[:, :, :num_frames])).all()


def test_silence_has_finite_errors() -> None:
    assert np.isfinite(fitted(np.zeros((3, 2, NUM_FRAMES, NUM_BANDS))).log_errors(noise(2, seed=0))).all()
