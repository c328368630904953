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


def test_both_is_the_higher_of_the_two() -> None:
    frames = with_event(clips(6, seed=1))
    machine, clip, both = (judge(fitted(baseline=each), frames).sigmas for each in ("machine", "clip", "both"))
    np.testing.assert_array_equal(both, np.maximum(machine, clip))


def test_a_clip_s_score_is_that_of_its_highest_event() -> None:
    judgement = judge(fitted(baseline="both"), with_event(clips(6, seed=1)))
    np.testing.assert_array_equal(judgement.clip_scores, judgement.thresholds.max(axis=1))


def test_each_clip_is_judged_alone() -> None:
    statistic, frames = fitted(baseline="both"), with_event(clips(6, seed=1))
    alone = np.concatenate([judge(statistic, frames[[clip]]).clip_scores for clip in range(6)])
    np.testing.assert_allclose(judge(statistic, frames).clip_scores, alone)


@pytest.mark.parametrize("statistics", ["all", "relative", "network"])
def test_a_detector_s_file_keeps_it_to_the_bit(statistics: str, tmp_path: Path) -> None:
    statistic = fitted(baseline="both", statistics=statistics)
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
