"""The statistic of innovations: whole clips and segments are judged, and a detector's file keeps it to the bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.decision.checkpoint import load_detector, save_detector
from core.decision.innovations_statistic import InnovationsStatistic, fit_innovations
from core.decision.postprocess import PostprocessingConfig
from core.decision.statistic import Judgement
from core.errors import UserError
from core.model.frame_statistics import FrameVectors, num_statistics, statistic_groups
from core.model.scoring import ScoringConfig
from tests.small_detector import make_detector

FRAME_MS, NUM_FRAMES = 20.0, 100
WHOLE_MS = FRAME_MS * NUM_FRAMES
MACHINES = ["car1", "car2"] * 6


def clips(num_clips: int, *, seed: int) -> FrameVectors:
    shape = (num_clips, 2, NUM_FRAMES, num_statistics(2))
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float16)


def fitted(**config: object) -> InnovationsStatistic:
    plain = PostprocessingConfig(window_ms=20, gap_ms=20, min_event_ms=20, median_ms=0)
    takes = [str(take) for take in range(12)]
    return fit_innovations(replace(plain, **config), clips(12, seed=0), MACHINES, takes, frame_ms=FRAME_MS)  # type: ignore[arg-type]


def judge(statistic: InnovationsStatistic, frames: FrameVectors) -> Judgement:
    return statistic.judge(frames, ["car1"] * len(frames))


def with_event(frames: FrameVectors) -> FrameVectors:
    changed = frames.copy()
    changed[:, 1, 40:70, statistic_groups(2)["colour"]] += 3
    return changed


def test_a_fault_from_end_to_end_is_found_by_the_machine_and_not_by_the_clip() -> None:
    faulty = clips(6, seed=1) + np.float16(3)
    assert (judge(fitted(baseline="machine"), faulty).clip_scores > 3).all()
    assert (judge(fitted(baseline="clip"), faulty).clip_scores < 3).all()


def test_an_event_is_placed_and_its_microphone_is_named() -> None:
    judgement = judge(fitted(baseline="clip"), with_event(clips(6, seed=1)))
    inside, outside = judgement.sigmas[:, 42:68], np.delete(judgement.sigmas, range(38, 72), axis=1)
    assert inside.min() > 4
    assert (inside.min(axis=1) > outside.max(axis=1) + 3).all()
    assert (judgement.channel_sigmas[:, :, 50].argmax(axis=1) == 1).all()


@pytest.mark.parametrize(
    ("statistics", "sizes"), [("all", [40, 40]), ("relative", [40, 40]), ("network", [40]), ("spectrum", [40])]
)
def test_changes_are_sought_in_the_bands_that_the_statistics_have_and_each_group_is_whitened_apart(
    statistics: str, sizes: list[int]
) -> None:
    changes = fitted(baseline="clip", statistics=statistics).changes
    assert changes is not None
    ends = np.cumsum(sizes)
    between = np.ones((ends[-1], ends[-1]), dtype=np.bool_)
    for first, end in zip([0, *ends[:-1]], ends, strict=True):
        between[first:end, first:end] = False
        assert np.abs(changes.whitening[:, first:end, first:end]).min(axis=0).max() > 0
    assert (changes.whitening[:, between] == 0).all()


def test_both_is_the_higher_of_the_whole_clip_s_and_the_segments() -> None:
    frames = with_event(clips(6, seed=1))
    machine = judge(fitted(baseline="machine", window_ms=WHOLE_MS), frames).sigmas
    clip, both = (judge(fitted(baseline=each), frames).sigmas for each in ("clip", "both"))
    np.testing.assert_array_equal(both, np.maximum(machine, clip))


@pytest.mark.parametrize(("window_ms", "lengths"), [(480.0, [25] * 4), (650.0, [33, 33, 34]), (1400.0, [100])])
def test_the_stretches_of_a_clip_are_as_long_as_the_window_or_nearly(window_ms: float, lengths: list[int]) -> None:
    sigmas = judge(fitted(baseline="machine", window_ms=window_ms), clips(1, seed=1)).sigmas[0]
    edges = np.flatnonzero(np.diff(sigmas, prepend=np.nan, append=np.nan))
    assert np.diff(edges).tolist() == lengths


def test_a_stretch_is_judged_as_a_clip_of_its_length() -> None:
    """And all calibration clips are cut alike."""
    frames, half = clips(6, seed=1), NUM_FRAMES // 2
    calibration = clips(12, seed=0).reshape(12, 2, 2, half, -1).swapaxes(1, 2).reshape(24, 2, half, -1)
    names = [[name for name in each for _ in range(2)] for each in (MACHINES, [str(take) for take in range(12)])]
    config = fitted(window_ms=WHOLE_MS).config
    of_halves = fit_innovations(config, calibration, *names, frame_ms=FRAME_MS)
    expected = np.concatenate(
        [judge(of_halves, frames[:, :, part]).sigmas for part in (slice(half), slice(half, None))], 1
    )
    np.testing.assert_allclose(judge(fitted(window_ms=WHOLE_MS / 2), frames).sigmas, expected)


def test_a_short_fault_stands_out_more_in_a_short_window() -> None:
    frames = clips(6, seed=1)
    frames[:, :, 50:75, statistic_groups(2)["colour"]] += np.float16(0.5)
    short, long = (judge(fitted(window_ms=each), frames).clip_scores for each in (WHOLE_MS / 4, WHOLE_MS))
    assert (short > long).all()


def test_a_clip_s_score_is_that_of_its_highest_event() -> None:
    judgement = judge(fitted(baseline="both"), with_event(clips(6, seed=1)))
    np.testing.assert_array_equal(judgement.clip_scores, judgement.thresholds.max(axis=1))


def test_each_clip_is_judged_alone() -> None:
    statistic, frames = fitted(baseline="both"), with_event(clips(6, seed=1))
    alone = np.concatenate([judge(statistic, frames[[clip]]).clip_scores for clip in range(6)])
    np.testing.assert_allclose(judge(statistic, frames).clip_scores, alone)


@pytest.mark.parametrize("baseline", ["machine", "both"])
@pytest.mark.parametrize("statistics", ["all", "relative", "network"])
def test_a_detector_s_file_keeps_it_to_the_bit(statistics: str, baseline: str, tmp_path: Path) -> None:
    statistic = fitted(baseline=baseline, statistics=statistics, window_ms=WHOLE_MS / 4)
    detector = replace(
        make_detector(), statistic=statistic, scoring=ScoringConfig(score="innovations", frame_ms=FRAME_MS)
    )
    save_detector(tmp_path / "detector", detector)
    loaded = load_detector(tmp_path / "detector")
    frames = np.concatenate([with_event(clips(6, seed=1)), clips(6, seed=2)])
    assert isinstance(loaded.statistic, InnovationsStatistic)
    np.testing.assert_array_equal(judge(loaded.statistic, frames).sigmas, judge(statistic, frames).sigmas)


@pytest.mark.parametrize("baseline", ["machine", "clip", "both"])
def test_a_machine_without_normal_sound_is_named(baseline: str) -> None:
    with pytest.raises(UserError, match=r"must be one that was calibrated \(car1, car2\), but got 'x'"):
        fitted(baseline=baseline).judge(clips(1, seed=1), ["x"])
