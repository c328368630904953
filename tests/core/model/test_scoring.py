"""Scoring: frames lie at the right places, and neither slices, threads nor other clips change a score."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import UserError
from core.model import scoring
from core.model.clips_to_score import ClipsToScore
from core.model.frame_statistics import num_statistics
from core.model.frontend import Codes
from core.model.innovations import innovations, uniform_draws
from core.model.scoring import SCORES, FrameScores, ScoringConfig, clip_innovations, score_clips
from core.model.wavenet import WaveNet
from core.model.wavenet_config import WaveNetConfig
from core.thread_pool import ThreadPool

CONTEXT_SAMPLES, FRAME_SAMPLES = 20, 10
NUM_SAMPLES = 20 + 7 * 10 + 3
"""Seven whole frames after the context, and three samples more."""


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPool]:
    with ThreadPool(2) as threads:
        yield threads


@pytest.fixture(scope="module")
def model() -> WaveNet:
    torch.manual_seed(0)
    shape = WaveNetConfig(num_channels=2, receptive_field_samples=13, residual_channels=6, skip_channels=8)
    return WaveNet(shape)


def random_codes(num_clips: int = 5, num_samples: int = NUM_SAMPLES) -> Codes:
    return np.random.default_rng(0).integers(256, size=(num_clips, 2, num_samples), dtype=np.uint8)


def score(model: WaveNet, codes: Codes, pool: ThreadPool, *, with_statistics: bool = True) -> FrameScores:
    clips = ClipsToScore(codes=codes, waveforms=codes.astype(np.float32) - 127.5, first_samples=[0] * len(codes))
    return score_clips(
        model,
        clips,
        context_samples=CONTEXT_SAMPLES,
        frame_samples=FRAME_SAMPLES,
        sample_rate_hz=4000,
        with_statistics=with_statistics,
        pool=pool,
    )


def test_a_frame_is_the_mean_over_its_samples(model: WaveNet, pool: ThreadPool) -> None:
    codes = random_codes()
    scores = score(model, codes, pool)
    assert scores.surprise.shape == scores.entropy.shape == (5, 2, 7)
    samples = model.sample_scores(torch.from_numpy(codes))
    kinds = {**samples._asdict(), "residual": samples.surprise - samples.entropy}
    for kind, bits in ((kind, bits) for kind, bits in kinds.items() if kind in SCORES):
        for frame in range(7):
            first = CONTEXT_SAMPLES + frame * FRAME_SAMPLES - model.config.receptive_field_samples
            expected = bits[..., first : first + FRAME_SAMPLES].mean(dim=-1)
            np.testing.assert_allclose(scores.of(kind)[..., frame], expected, rtol=1e-4, atol=1e-5)


def test_statistics_are_measured_for_those_who_ask(model: WaveNet, pool: ThreadPool) -> None:
    codes = random_codes()
    with_them, without = score(model, codes, pool), score(model, codes, pool, with_statistics=False)
    assert with_them.statistics.shape == (5, 2, 7, num_statistics(2))
    assert without.statistics.shape == (5, 2, 7, 0)
    assert set(with_them.kinds) - set(without.kinds) == {"innovations"}
    np.testing.assert_array_equal(with_them.surprise, without.surprise)


@pytest.mark.parametrize("decimation", [1, 2])
def test_statistics_of_the_sound_that_are_kept_are_those_that_would_be_measured(
    decimation: int, model: WaveNet, pool: ThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = random_codes()
    sound = np.random.default_rng(1).standard_normal((*codes.shape[:2], decimation * codes.shape[2])).astype(np.float32)
    clips = ClipsToScore(codes=codes, waveforms=sound, first_samples=[0] * len(codes), decimation=decimation)
    frames = {"context_samples": CONTEXT_SAMPLES, "frame_samples": FRAME_SAMPLES, "sample_rate_hz": 4000}
    kept = clips.with_sound(**frames, pool=pool)
    measured = score_clips(model, clips, **frames, with_statistics=True, pool=pool)
    monkeypatch.setattr("core.model.scoring.GROUP_SAMPLES", codes[:2].size)  # so that they are cut with their clips
    monkeypatch.setattr("core.model.clips_to_score.sound_statistics", None)
    again = score_clips(model, kept, **frames, with_statistics=True, pool=pool)
    np.testing.assert_array_equal(again.statistics, measured.statistics)


@pytest.mark.parametrize("frame", [0, 3, 6])
@pytest.mark.parametrize("position", [0, FRAME_SAMPLES - 1])
def test_a_disturbance_is_heard_in_its_own_frame_and_not_before(
    frame: int, position: int, model: WaveNet, pool: ThreadPool
) -> None:
    codes = random_codes()
    disturbed = codes.copy()
    disturbed[2, 1, CONTEXT_SAMPLES + frame * FRAME_SAMPLES + position] ^= 128
    change = np.abs(score(model, disturbed, pool).surprise - score(model, codes, pool).surprise)
    assert change[2, 1, frame] > 1e-3
    assert not change[2, :, :frame].any()
    assert not change[[0, 1, 3, 4]].any()


def test_entropy_does_not_depend_on_the_predicted_sample(model: WaveNet, pool: ThreadPool) -> None:
    codes = random_codes()
    disturbed = codes.copy()
    disturbed[:, :, CONTEXT_SAMPLES + 4 * FRAME_SAMPLES - 1] ^= 128  # the last sample of the fourth frame
    before, after = score(model, codes, pool), score(model, disturbed, pool)
    np.testing.assert_array_equal(after.entropy[..., :4], before.entropy[..., :4])
    assert (after.surprise[..., 3] != before.surprise[..., 3]).all()
    assert (after.entropy[..., 4] != before.entropy[..., 4]).all()


def test_samples_after_the_last_whole_frame_have_no_effect(model: WaveNet, pool: ThreadPool) -> None:
    codes = random_codes()
    disturbed = codes.copy()
    disturbed[..., -3:] ^= 128
    disturbed[..., : CONTEXT_SAMPLES - model.config.receptive_field_samples] ^= 128
    np.testing.assert_array_equal(score(model, disturbed, pool).surprise, score(model, codes, pool).surprise)


@pytest.mark.parametrize("slice_targets", [1, 10, 25, 70, 100, 140, 349, 10_000])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_slices_and_threads_change_no_score(
    slice_targets: int, num_threads: int, model: WaveNet, monkeypatch: pytest.MonkeyPatch, pool: ThreadPool
) -> None:
    codes = random_codes()
    expected = score(model, codes, pool)
    monkeypatch.setitem(scoring.SLICE_TARGETS, "cpu", slice_targets)
    with ThreadPool(num_threads) as threads:
        scores = score(model, codes, threads)
    np.testing.assert_allclose(scores.surprise, expected.surprise, rtol=1e-5)
    np.testing.assert_allclose(scores.entropy, expected.entropy, rtol=1e-5)


def innovations_of(
    model: WaveNet, codes: Codes, pool: ThreadPool, *, first_samples: list[int]
) -> list[np.ndarray[Any, Any]]:
    clips = ClipsToScore(codes=codes, waveforms=codes.astype(np.float32), first_samples=first_samples)
    return list(clip_innovations(model, clips, context_samples=CONTEXT_SAMPLES, pool=pool))


def test_innovations_are_of_every_sample_after_the_context_and_the_same_in_a_clip_that_is_cut_elsewhere(
    model: WaveNet, pool: ThreadPool
) -> None:
    codes, cut = random_codes(), 50
    whole = innovations_of(model, codes, pool, first_samples=[1000] * 5)
    assert [z.shape for z in whole] == [(2, NUM_SAMPLES - CONTEXT_SAMPLES)] * 5
    before = innovations_of(model, codes[..., :cut], pool, first_samples=[1000] * 5)
    after = innovations_of(model, codes[..., cut - CONTEXT_SAMPLES :], pool, first_samples=[1000 + cut - 20] * 5)
    np.testing.assert_allclose(np.concatenate([before, after], axis=-1), whole, rtol=1e-3, atol=1e-4)


def test_an_innovation_has_the_draw_of_its_own_place_in_the_recording(model: WaveNet, pool: ThreadPool) -> None:
    codes, context = random_codes(), CONTEXT_SAMPLES - model.config.receptive_field_samples
    samples = model.sample_scores(torch.from_numpy(codes[:1]))
    surprise, below = (kind[0, :, context:].numpy() for kind in (samples.surprise, samples.below))
    expected = innovations(surprise, below, uniform_draws(1000 + CONTEXT_SAMPLES, surprise.shape[-1], 2))
    found = innovations_of(model, codes, pool, first_samples=[1000] * 5)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_groups_of_clips_change_no_innovation(
    model: WaveNet, monkeypatch: pytest.MonkeyPatch, pool: ThreadPool
) -> None:
    codes, first_samples = random_codes(), [0, 100, 200, 300, 400]
    expected = innovations_of(model, codes, pool, first_samples=first_samples)
    monkeypatch.setattr(scoring, "GROUP_SAMPLES", 2 * 2 * NUM_SAMPLES)  # of two clips
    found = innovations_of(model, codes, pool, first_samples=first_samples)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("num_samples", [5, CONTEXT_SAMPLES, CONTEXT_SAMPLES + FRAME_SAMPLES - 1])
def test_a_clip_without_one_whole_frame_has_no_scores(num_samples: int, model: WaveNet, pool: ThreadPool) -> None:
    scores = score(model, random_codes(num_samples=num_samples), pool)
    assert scores.surprise.shape == scores.entropy.shape == (5, 2, 0)


def test_no_clips_have_no_scores(model: WaveNet, pool: ThreadPool) -> None:
    assert score(model, random_codes(num_clips=0), pool).surprise.shape == (0, 2, 7)


@pytest.mark.parametrize(("rate_hz", "samples"), [(4000, 100), (16_000, 400), (1010, 25)])
def test_frames_are_rounded_to_samples(rate_hz: int, samples: int) -> None:
    assert ScoringConfig(frame_ms=25.0).frame_samples(rate_hz) == samples


@pytest.mark.parametrize(("name", "value"), [("score", "loudness"), ("frame_ms", 0.5), ("frame_ms", float("nan"))])
def test_impossible_scoring_is_named_in_one_line(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"^scoring\.{name} must be [^\n]*, but got '?{value}'?\.$"):
        ScoringConfig(**{name: value})
