"""Change points: an event is found where it begins and ends, and healthy clips keep their standard."""

import numpy as np
import pytest
from ruptures import KernelCPD

from core.decision.change_points import ChangeModel, Vectors, critical_penalty, fit_changes
from core.errors import UserError

FRAME_MS = 25.0


def clips(num_clips: int, *, seed: int, num_frames: int = 200, num_channels: int = 2) -> Vectors:
    return np.random.default_rng(seed).standard_normal((num_clips, num_channels, num_frames, 5))


@pytest.fixture(scope="module")
def model() -> ChangeModel:
    return fit_changes(clips(12, seed=0), (5,), num_takes=12, frame_ms=FRAME_MS)


@pytest.mark.parametrize(("first", "end"), [(60, 100), (0, 50), (150, 200), (100, 120)])
def test_an_event_is_a_segment_of_its_own(model: ChangeModel, first: int, end: int) -> None:
    (clip,) = clips(1, seed=1)
    clip[0, first:end] += 2.0
    strange = [each for each in model.segments(clip) if model.standard.sigmas(np.array(each.evidence)) > 4]
    assert abs(strange[0].first - first) <= 2
    assert abs(strange[-1].end - end) <= 2
    assert [each.end for each in strange[:-1]] == [each.first for each in strange[1:]], "nothing is between them"
    assert all(each.channel_evidence.argmax() == 0 for each in strange)


def test_healthy_clips_have_the_standard_of_calibration(model: ChangeModel) -> None:
    highest = [max(segment.evidence for segment in model.segments(clip)) for clip in clips(60, seed=2)]
    sigmas = model.standard.sigmas(np.array(highest))
    assert abs(np.median(sigmas)) < 1
    assert np.mean(sigmas > 3) < 0.1


def test_segments_cover_the_clip(model: ChangeModel) -> None:
    (clip,) = clips(1, seed=3)
    clip[:, 60:100] += 2.0
    segments = model.segments(clip)
    assert [segment.first for segment in segments] == [0, *(segment.end for segment in segments[:-1])]
    assert segments[-1].end == 200


@pytest.mark.parametrize(("first", "end"), [(0, 50), (60, 140), (110, 200)])
def test_the_rest_of_a_clip_does_not_stand_out_for_an_event(model: ChangeModel, first: int, end: int) -> None:
    """Though it is up to nine twentieths of the clip."""
    (clip,) = clips(1, seed=4)
    clip[:, first:end] += 3.0
    segments = model.segments(clip)
    inside = [first - 2 <= each.first and each.end <= end + 2 for each in segments]
    sigmas = [float(model.standard.sigmas(np.array(each.evidence))) for each in segments]
    assert min(sigma for sigma, is_in in zip(sigmas, inside, strict=True) if is_in) > 4
    assert max(sigma for sigma, is_in in zip(sigmas, inside, strict=True) if not is_in) < 1


def test_a_change_of_all_statistics_counts_for_more_than_as_large_a_one_of_a_few() -> None:
    model = fit_changes(clips(12, seed=0), (5,), num_takes=12, frame_ms=FRAME_MS)
    broad, narrow = clips(1, seed=5)[0], clips(1, seed=5)[0]
    broad[:, 60:100] += 1.0
    narrow[:, 60:100, 0] += np.sqrt(5)  # as far away, in the root of the sum of squares
    strongest = [max(segment.evidence for segment in model.segments(clip)) for clip in (broad, narrow)]
    assert strongest[0] > strongest[1] + 0.5


def test_groups_are_whitened_apart() -> None:
    """Statistics of two groups that are almost the same have a difference of no weight, those of one group have one."""
    one = clips(12, seed=0)[..., :2]
    twice = np.concatenate([one, one + 0.01 * clips(12, seed=6)[..., :2]], axis=-1)
    (clip,) = clips(1, seed=7)[..., :4]
    clip[..., 2:] = clip[..., :2]
    clip[:, 60:100, 0] += 0.2  # of one of a pair alone: twenty times their usual difference
    apart, together = (fit_changes(twice, sizes, num_takes=12, frame_ms=FRAME_MS) for sizes in ((2, 2), (4,)))
    highest = [max(each.evidence for each in model.segments(clip)) for model in (apart, together)]
    assert apart.standard.sigmas(np.array(highest[0])) < 4 < together.standard.sigmas(np.array(highest[1]))


@pytest.mark.parametrize("shift", [0.0, 0.7, 2.0])
def test_beyond_the_critical_penalty_there_is_no_change_point(shift: float) -> None:
    points = np.random.default_rng(0).standard_normal((120, 4))
    points[40:80] += shift
    critical = critical_penalty(points, 10)
    search = KernelCPD(kernel="linear", min_size=10).fit(points)
    assert len(search.predict(pen=critical)) == 1
    assert len(search.predict(pen=critical / 1.1)) > 1


def test_scale_and_offset_of_the_statistics_do_not_count() -> None:
    scale, offset = np.array([0.1, 1.0, 5.0, 100.0, 3.0]), 7.0
    (clip,) = clips(1, seed=1)
    clip[:, 60:100] += 2.0
    plain = fit_changes(clips(12, seed=0), (5,), num_takes=12, frame_ms=FRAME_MS).segments(clip)
    other = fit_changes(clips(12, seed=0) * scale + offset, (5,), num_takes=12, frame_ms=FRAME_MS).segments(
        clip * scale
    )
    assert [segment.first for segment in plain] == [segment.first for segment in other]


def test_clips_without_room_for_two_segments_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"at least 0\.8 s that are scored, but has 0\.775 s\. Raise clips") as e:
        fit_changes(clips(4, seed=0, num_frames=31), (5,), num_takes=4, frame_ms=FRAME_MS)
    assert "\n" not in str(e.value)
    fit_changes(clips(4, seed=0, num_frames=32), (5,), num_takes=4, frame_ms=FRAME_MS)


def test_rounding_of_what_is_always_the_same_does_not_stand_out() -> None:
    """A band without any sound lies at its floor, and flips by a step of float16 where a clip is quieter."""
    healthy = clips(12, seed=0)
    healthy[..., 4] = -13.8
    (quieter,) = clips(1, seed=8)
    quieter[..., 4] = -13.8
    quieter[:, 60:100, 4] += 0.0078
    model = fit_changes(healthy, (5,), num_takes=12, frame_ms=FRAME_MS)
    assert max(float(model.standard.sigmas(np.array(each.evidence))) for each in model.segments(quieter)) < 3
