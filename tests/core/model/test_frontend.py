"""The front end: a quantiser that is inverted within its step, and levels that are matched or kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.data.audio import Waveform, quantise
from core.data.clips import Clip, ClipConfig, ClipSet
from core.data.data_config import DataConfig
from core.data.dataset import Dataset
from core.data.recordings import Recording, Take
from core.data.splits import SplitConfig
from core.data.training_clips import ListedClips
from core.decision.checkpoint import DETECTOR_FILE, load_detector
from core.errors import UserError
from core.experiment import ExperimentConfig, run_experiment
from core.model.frontend import (
    FrontEnd,
    FrontEndConfig,
    emphasise,
    fit_front_end,
    mu_law_decode,
    mu_law_encode,
)
from core.model.training_config import TrainingConfig
from core.thread_pool import ThreadPool

level_counts = st.integers(2, 256)


def noise(*shape: int, seed: int = 0, rms: float = 0.1) -> Waveform:
    return np.asarray(rms * np.random.default_rng(seed).standard_normal(shape), dtype=np.float32)


def ready(**config: Any) -> FrontEnd:
    return FrontEnd(config=FrontEndConfig(**config), channel_gains=(1.0, 1.0))


def rms(waveform: Waveform) -> float:
    return float(np.sqrt(np.mean(np.square(waveform))))


@given(level_counts)
def test_every_code_is_decoded_to_a_sound_that_has_this_code(levels: int) -> None:
    codes = np.arange(levels, dtype=np.uint8)
    np.testing.assert_array_equal(mu_law_encode(mu_law_decode(codes, levels), levels), codes)
    assert mu_law_decode(codes, levels)[[0, -1]].tolist() == pytest.approx([-1, 1])


@given(level_counts, st.lists(st.floats(-1, 1, width=32), min_size=1))
def test_decoding_is_within_half_a_step_of_the_compressed_scale(levels: int, samples: list[float]) -> None:
    mu = levels - 1

    def compress(x: Waveform) -> Waveform:
        return np.sign(x) * np.log1p(mu * np.abs(x.astype(np.float64))) / np.log1p(mu)

    waveform = np.array(samples, dtype=np.float32)
    decoded = mu_law_decode(mu_law_encode(waveform, levels), levels)
    assert np.abs(compress(waveform) - compress(decoded)).max() <= 1 / mu + 1e-6


@given(level_counts)
def test_codes_rise_with_the_sound_and_clip_beyond_full_scale(levels: int) -> None:
    codes = mu_law_encode(np.linspace(-1.5, 1.5, 3001, dtype=np.float32), levels).astype(int)
    assert (np.diff(codes) >= 0).all()
    assert set(codes[:501]) == {0}
    assert set(codes[-501:]) == {levels - 1}


def test_quiet_sounds_get_finer_steps_than_loud_ones() -> None:
    steps = np.diff(mu_law_decode(np.arange(256, dtype=np.uint8)))
    assert steps.argmin() == 127
    assert steps.max() > 50 * steps.min()


def test_emphasis_of_a_hand_made_table() -> None:
    waveform = np.array([[-2, 0, 2, 0]], dtype=np.float32)
    np.testing.assert_allclose(emphasise(waveform, 0.5), [[-2, 1, 2, -1]])
    np.testing.assert_allclose(emphasise(waveform, 0.0), waveform)
    assert waveform.tolist() == [[-2, 0, 2, 0]]


@pytest.mark.parametrize("gain", [2.0**-10, 4.0, 2.0**12])
def test_matched_codes_do_not_depend_on_gain(gain: float) -> None:
    sound = noise(2, 4000)  # a power of two scales without rounding, so not a code may move
    np.testing.assert_array_equal(ready().encode(sound), ready().encode(np.float32(gain) * sound))


@pytest.mark.parametrize("gain", [1e-25, 1e15])
def test_a_level_that_no_square_of_a_float32_holds_is_matched_all_the_same(gain: float) -> None:
    sound = np.random.default_rng(0).standard_normal((1, 1000)).astype(np.float32)
    front_end = FrontEnd(config=FrontEndConfig(level="matched"), channel_gains=(1.0,))
    codes = [front_end.encode(sound * loudness) for loudness in (np.float32(1), np.float32(gain))]
    assert np.mean(codes[0] == codes[1]) > 0.99


def test_matched_codes_do_not_depend_on_offset_or_on_the_other_channels_level() -> None:
    sound = noise(2, 4000)
    other = sound * np.array([[1.0], [7.3]], dtype=np.float32) + np.array([[0.25], [-0.1]], dtype=np.float32)
    moved = np.abs(ready().encode(sound).astype(int) - ready().encode(other).astype(int))
    assert moved.max() <= 1  # rounding moves a sample that lies on a code's edge
    assert moved.mean() < 1e-3


def test_matched_level_is_the_one_configured() -> None:
    heard = mu_law_decode(ready(rms=0.2, pre_emphasis=0.0).encode(noise(2, 20_000, rms=1e-3)))
    assert [rms(channel) for channel in heard] == pytest.approx([0.2, 0.2], rel=0.02)


def test_train_gain_brings_the_training_clips_to_the_level_and_keeps_differences_between_clips() -> None:
    config = FrontEndConfig(level="train_gain", rms=0.1, pre_emphasis=0.5)
    clips = noise(3, 2, 20_000) * np.array([0.1, 0.2, 0.4], dtype=np.float32)[:, None, None]
    clips[:, 1] *= 20
    heard = mu_law_decode(fit_front_end(config, clips).encode(clips))
    assert [rms(heard[:, channel]) for channel in (0, 1)] == pytest.approx([0.1, 0.1], rel=0.03)
    for channel in (0, 1):
        quiet, middle, loud = (rms(clip[channel]) for clip in heard)
        assert (middle / quiet, loud / quiet) == pytest.approx((2, 4), rel=0.03)


@pytest.mark.parametrize("level", ["matched", "train_gain"])
def test_a_clip_is_encoded_by_itself(level: Any) -> None:
    clips = noise(4, 2, 1000) * np.array([1, 2, 5, 9], dtype=np.float32)[:, None, None]
    front_end = fit_front_end(FrontEndConfig(level=level), clips[:2])
    together = front_end.encode(clips)
    for index, clip in enumerate(clips):
        np.testing.assert_array_equal(front_end.encode(clip), together[index])


@pytest.mark.parametrize("level", ["matched", "train_gain"])
@pytest.mark.parametrize("offset", [0.0, 0.1, -0.3])
def test_a_silent_channel_stays_silent_without_a_division_by_zero(level: Any, offset: float) -> None:
    clip = noise(2, 12_000)
    clip[1] = offset
    with np.errstate(all="raise", under="ignore"):
        front_end = fit_front_end(FrontEndConfig(level=level), [clip])
        codes = front_end.encode(clip)
    assert np.unique(codes[1]).tolist() == [128]
    assert len(np.unique(codes[0])) > 100
    assert np.isfinite(front_end.channel_gains).all()


def test_an_experiment_takes_its_gains_from_the_training_clips_alone(tmp_path: Path) -> None:
    def clip_set(loudness: float, labels: list[bool]) -> ClipSet:
        names = tuple(f"{loudness}-{index}" for index in range(len(labels)))
        return ClipSet(
            waveforms=noise(len(labels), 2, 1000, rms=loudness),
            recording_ids=names,
            machines=("car",) * len(labels),
            conditions=names,
            starts_s=(0.0,) * len(labels),
            is_anomalous=np.array(labels),
        )

    def take(index: int) -> Take:
        recording = Recording(
            recording_id=f"train {index}",
            machine="car",
            label="normal",
            num_channels=2,
            sample_rate_hz=4000,
            num_samples=1000,
            digest=str(index),
            read=lambda: noise(2, 1000),
        )
        return Take(recording=recording, audio=quantise(noise(2, 1000, seed=index)))

    judged = {
        "calibration": clip_set(0.2, [False] * 3),
        "validation": clip_set(0.3, [False, True]),
        "test": clip_set(0.4, [False, True]),
    }
    clips = [Clip(take=take(index), start=0, num_samples=1000) for index in range(3)]
    dataset = Dataset(
        config=DataConfig(sample_rate_hz=4000, clips=ClipConfig(clip_seconds=0.25), split=SplitConfig()),
        num_channels=2,
        training=ListedClips(clips),
        judged=lambda: judged,
        takes=str,
        skipped=tuple,
        num_judged_samples=7000,
    )
    config = ExperimentConfig(
        front_end=FrontEndConfig(level="train_gain"), training=TrainingConfig(epochs=1, seconds_per_epoch=0.1)
    )
    with ThreadPool(1) as pool:
        cpu = torch.device("cpu")
        list(run_experiment(config, dataset, tmp_path, seed=0, context_samples=128, device=cpu, pool=pool))
    fitted = fit_front_end(config.front_end, [clip.read() for clip in clips])
    assert load_detector(tmp_path / DETECTOR_FILE).front_end == fitted


@given(
    st.integers(0, 498),
    st.integers(1, 500),
    st.sampled_from(["matched", "train_gain"]),
    st.floats(0, 0.97),
    st.sampled_from([1, 2, 4]),
)
def test_a_part_of_a_clip_is_coded_as_it_is_in_the_whole(
    first: int, length: int, level: Any, pre: float, decimation: int
) -> None:
    clip = noise(2, 500 * decimation + decimation - 1) + np.float32(0.05)
    config = FrontEndConfig(level=level, pre_emphasis=pre, spectrum_rate_hz=4000 * decimation)
    front_end = FrontEnd(config=config, channel_gains=(1.0, 3.0))
    end, num_past = min(first + length, 500), min(first, config.past_samples)
    samples = clip[:, (first - num_past) * decimation : end * decimation]
    part = front_end.encode_part(samples, front_end.level_of(clip), num_past=num_past)
    np.testing.assert_array_equal(part, front_end.encode(clip)[:, first:end])


def test_a_network_hears_what_is_below_half_its_rate() -> None:
    time_s = np.arange(16_000) / 16_000
    config = FrontEndConfig(sample_rate_hz=4000, spectrum_rate_hz=16_000, level="train_gain", pre_emphasis=0.0)
    front_end = FrontEnd(config=config, channel_gains=(1.0,))

    def heard_rms(frequency_hz: float) -> float:
        tone = 0.5 * np.sin(2 * np.pi * frequency_hz * time_s, dtype=np.float32)
        codes = front_end.encode(tone[None])
        assert codes.shape == (1, 4000)
        return float(np.sqrt(np.square(mu_law_decode(codes)).mean()))

    assert heard_rms(1000) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    assert heard_rms(3000) < 0.002
    assert heard_rms(7000) < 0.002


def test_codes_depend_on_no_sound_that_comes_later() -> None:
    config = FrontEndConfig(sample_rate_hz=4000, spectrum_rate_hz=16_000, level="train_gain")
    front_end, clip = FrontEnd(config=config, channel_gains=(1.0, 1.0)), noise(2, 4000)
    other = clip.copy()
    other[:, 2000:] = noise(2, 2000)[:, ::-1]
    level = front_end.level_of(clip)
    one, two = (front_end.encode_part(each, level, num_past=0) for each in (clip, other))
    np.testing.assert_array_equal(one[:, :500], two[:, :500])
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("rate_hz", [6000, 10_000, 2000, 196_000, 0, -4000])
def test_the_rate_of_the_spectrum_is_a_multiple_of_the_networks(rate_hz: int) -> None:
    with pytest.raises(UserError, match=rf"^front_end\.spectrum_rate_hz must be a multiple [^\n]* got {rate_hz}\. "):
        FrontEndConfig(sample_rate_hz=4000, spectrum_rate_hz=rate_hz)


@pytest.mark.parametrize(
    ("lowest_hz", "expected"), [(16_000, 16_000), (44_100, 16_000), (15_999, None), (None, 16_000)]
)
def test_a_spectrum_is_heard_as_far_as_the_recordings_reach(lowest_hz: int | None, expected: int | None) -> None:
    config = FrontEndConfig(sample_rate_hz=8000, spectrum_rate_hz=16_000)
    assert config.settled(lowest_hz).spectrum_rate_hz == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_rate_hz", 999),
        ("level", "loud"),
        ("pre_emphasis", 1.0),
        ("pre_emphasis", float("nan")),
        ("rms", 0.0),
        ("rms", float("nan")),
        ("mu_law_levels", 1),
        ("mu_law_levels", 257),
    ],
)
def test_an_impossible_front_end_is_named_in_one_line(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"^front_end\.{name} must be [^\n]*, but got '?{value}'?\.$"):
        FrontEndConfig(**{name: value})
