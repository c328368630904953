"""Datasets: clips do not overlap, no audio is lost, budgets are kept, and no take is in two parts of the split."""

from collections import Counter, defaultdict
from dataclasses import replace
from functools import partial
from itertools import combinations, pairwise
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.audio import Waveform, quantise
from core.data.clips import ClipConfig, ClipSet, read_clips, spread_over_strata
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.recordings import BadRecording, Corpus, Label, Recording, Take
from core.data.splits import SplitConfig
from core.errors import UserError

RATE_HZ = 1000
JUDGED = ("calibration", "validation", "test")


def ramp(start: int, num_samples: int, num_channels: int = 2) -> Waveform:
    """A take whose samples are numbers in order: `start` and its successors, negative in the second channel."""
    counts = np.arange(start, start + num_samples, dtype=np.float32)
    return counts * np.array([1, -1, 2, 3], dtype=np.float32)[:num_channels, None]


def recording(
    name: str, label: Label = "normal", *, machine: str = "car1", num_samples: int = 3000, start: int = 0
) -> Recording:
    return Recording(
        recording_id=name,
        machine=machine,
        label=label,
        condition=label,
        num_channels=2,
        sample_rate_hz=RATE_HZ,
        num_samples=num_samples,
        digest=name,
        read=partial(ramp, start, num_samples),
    )


def take(name: str = "take", label: Label = "normal", *, machine: str = "car1", num_samples: int = 3000) -> Take:
    of = recording(name, label, machine=machine, num_samples=num_samples)
    return Take(recording=of, audio=quantise(of.read()))


def first_samples(clips: ClipSet) -> list[int]:
    return [round(float(clip[0, 0])) for clip in clips.waveforms]


def trained_on(dataset: Dataset) -> set[str]:
    clips = dataset.training.order(0).all_of(10_000)
    assert clips is not None
    return {clip.take.recording.recording_id for clip in clips}


def corpus(num_normal: int = 12, num_anomalous: int = 6, machines: tuple[str, ...] = ("car1", "car2")) -> Corpus:
    """Takes of three seconds. The first sample of each one identifies it."""
    recordings = [
        recording(f"{machine}/{label}/{index}", label, machine=machine, start=10_000 * (1 + index))
        for machine in machines
        for label, count in (("normal", num_normal), ("anomalous", num_anomalous))
        for index in range(count)
    ]
    return Corpus(name="made", description="made by hand", recordings=tuple(recordings))


def prepare(
    source: Corpus, *, skip_bad_files: bool = False, calibration: Literal["takes", "parts"] = "takes", **clips: float
) -> Dataset:
    config = ClipConfig(**({"clip_seconds": 1.0, "evaluation_seconds": 60.0, "calibration_seconds": 20.0} | clips))
    return prepare_dataset(
        source,
        DataConfig(
            sample_rate_hz=RATE_HZ,
            clips=config,
            split=SplitConfig(calibration=calibration),
            skip_bad_files=skip_bad_files,
        ),
    )


@given(st.integers(10, 300), st.integers(1, 100), st.none() | st.integers(1, 12))
def test_clips_lie_in_their_take_without_overlap(num_samples: int, length: int, most: int | None) -> None:
    length = min(length, num_samples)
    clips = read_clips([take(num_samples=num_samples)], length, RATE_HZ, most=most)
    starts = first_samples(clips)
    room = num_samples // length
    assert len(clips) == len(starts) == min(room, most or room)
    assert all(later - earlier >= length for earlier, later in pairwise(starts))
    assert 0 <= starts[0] <= starts[-1] <= num_samples - length
    assert clips.starts_s == tuple(start / RATE_HZ for start in starts)
    for clip, start in zip(clips.waveforms, starts, strict=True):
        np.testing.assert_allclose(clip, ramp(start, length), atol=num_samples / 32767)


def test_training_clips_cover_a_take_end_to_end() -> None:
    assert first_samples(read_clips([take(num_samples=3499)], 500, RATE_HZ)) == [0, 500, 1000, 1500, 2000, 2500]


@pytest.mark.parametrize(
    ("most", "starts"), [(1, [1250]), (2, [0, 2500]), (3, [0, 1250, 2500]), (5, [0, 625, 1250, 1875, 2500])]
)
def test_a_bounded_number_of_clips_is_spread_evenly(most: int, starts: list[int]) -> None:
    assert first_samples(read_clips([take()], 500, RATE_HZ, most=most)) == starts


def test_each_clip_knows_its_take() -> None:
    takes = [take("a", num_samples=1100), take("b", "anomalous", machine="car2", num_samples=2100)]
    clips = read_clips(takes, 1000, RATE_HZ)
    assert clips.recording_ids == ("a", "b", "b")
    assert clips.machines == ("car1", "car2", "car2")
    assert clips.conditions == ("normal", "anomalous", "anomalous")
    assert clips.is_anomalous.tolist() == [False, True, True]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["normal", "anomalous"])), min_size=1), st.data())
def test_a_budget_keeps_every_machine_and_label_and_deals_in_turn(
    kinds: list[tuple[str, Label]], data: st.DataObject
) -> None:
    takes = [take(str(i), label, machine=machine, num_samples=4) for i, (machine, label) in enumerate(kinds)]
    available = Counter(kinds)
    max_clips = data.draw(st.integers(len(available), len(takes) + 2))
    chosen = spread_over_strata(takes, max_clips, "validation")
    assert len(chosen) == min(max_clips, len(takes))
    assert len({t.recording.recording_id for t in chosen}) == len(chosen)
    dealt = Counter((t.recording.machine, t.recording.label) for t in chosen)
    assert set(dealt) == set(available)
    for kind, count in dealt.items():  # the numbers differ by at most one
        assert count == available[kind] or count >= max(dealt.values()) - 1


def test_a_budget_keeps_every_condition_and_not_the_first_days_alone() -> None:
    names = [f"{condition}/day{day}/{number}" for condition in "abcd" for day in range(5) for number in range(5)]
    takes = [take(name, "anomalous", num_samples=4) for name in names]
    faulty = [
        replace(each, recording=replace(each.recording, condition=each.recording.recording_id[0])) for each in takes
    ]
    healthy = [take(f"day{day}/{number}", num_samples=4) for day in range(10) for number in range(10)]
    chosen = [each.recording for each in spread_over_strata([*faulty, *healthy], 40, "validation")]
    assert Counter(each.condition for each in chosen) == {"normal": 20, "a": 5, "b": 5, "c": 5, "d": 5}
    assert len({each.recording_id.split("/")[0] for each in chosen if each.label == "normal"}) >= 6
    assert len({each.recording_id.split("/")[1] for each in chosen if each.label == "anomalous"}) >= 4


def test_a_budget_below_one_clip_a_group_is_refused() -> None:
    takes = [take("a"), take("b", "anomalous"), take("c", machine="car2")]
    with pytest.raises(UserError, match=r"^The budget for test must hold [^\n]* 3 groups [^\n]*, but holds 2\. Raise "):
        spread_over_strata(takes, 2, "test")


def test_no_take_is_in_two_splits_and_training_hears_normal_sound_alone() -> None:
    dataset = prepare(corpus())
    takes = {name: set(getattr(dataset, name).recording_ids) for name in JUDGED} | {"train": trained_on(dataset)}
    for one, other in combinations(takes, 2):
        assert not takes[one] & takes[other]
    assert set.union(*takes.values()) == {recording.recording_id for recording in corpus().recordings}
    assert not dataset.calibration.is_anomalous.any()
    assert all("/normal/" in name for name in takes["train"])
    for name in ("validation", "test"):
        assert 0 < getattr(dataset, name).is_anomalous.mean() < 1
    for name in JUDGED:
        assert set(getattr(dataset, name).machines) == {"car1", "car2"}
    assert dataset.takes() == "8 train, 4 calibration, 12 validation, 12 test; machines car1, car2"


def test_parts_of_training_takes_are_calibrated_on_and_not_trained_on() -> None:
    takes = [replace(one, num_samples=8500, read=partial(one.read.func, one.read.args[0], 8500))
             for one in corpus().recordings]  # fmt: skip
    dataset = prepare(Corpus(name="made", description="", recordings=tuple(takes)), calibration="parts")
    clips = dataset.training.order(0).all_of(10_000)
    assert clips is not None
    trained: dict[str, list[float]] = defaultdict(list)
    for clip in clips:
        trained[clip.take.recording.recording_id].append(float(clip.read()[0, 0]))
    calibrated: dict[str, list[float]] = defaultdict(list)
    for name, waveform in zip(dataset.calibration.recording_ids, dataset.calibration.waveforms, strict=True):
        calibrated[name].append(float(waveform[0, -1]))
    assert trained.keys() == calibrated.keys()
    for name, begins in trained.items():
        assert len(begins) == 6  # of eight clips a quarter is calibrated on
        assert max(begins) + 1000 <= min(calibrated[name])


def test_a_take_of_one_clip_has_no_two_parts() -> None:
    with pytest.raises(UserError, match="must hold two clips, one to train and one to calibrate on"):
        prepare(corpus(), calibration="parts", clip_seconds=2.0)


def test_the_audio_of_a_clip_is_that_of_its_take() -> None:
    dataset, source = prepare(corpus()), {r.recording_id: r for r in corpus().recordings}
    for name in JUDGED:
        clips: ClipSet = getattr(dataset, name)
        for clip, recording_id, start_s in zip(clips.waveforms, clips.recording_ids, clips.starts_s, strict=True):
            start = round(start_s * RATE_HZ)
            waveform = source[recording_id].read()
            half_a_step = waveform.max() / 32767 / 1.9
            np.testing.assert_allclose(clip, waveform[:, start : start + RATE_HZ], atol=half_a_step)


@pytest.mark.parametrize(("evaluation_seconds", "calibration_seconds"), [(4.0, 4.0), (7.9, 5.0), (13.0, 6.0)])
def test_the_budget_bounds_what_is_judged_and_not_what_is_trained_on(
    evaluation_seconds: float, calibration_seconds: float
) -> None:
    dataset = prepare(corpus(), evaluation_seconds=evaluation_seconds, calibration_seconds=calibration_seconds)
    assert len(dataset.validation) <= evaluation_seconds
    assert len(dataset.test) <= evaluation_seconds
    assert len(dataset.calibration) <= calibration_seconds
    assert len(dataset.training.order(0).all_of(10_000) or ()) == 3 * 8
    assert set(dataset.validation.machines) == {"car1", "car2"}
    assert 0 < dataset.validation.is_anomalous.mean() < 1


def test_takes_left_out_by_the_budget_are_said_and_others_are_not() -> None:
    dataset = prepare(corpus(), evaluation_seconds=4.0)
    assert "validation: 4 of 12 takes are judged, as the budget allows" in dataset.notes
    assert prepare(corpus()).notes == ()


def test_a_second_preparation_is_the_same() -> None:
    first, second = (prepare(corpus(), evaluation_seconds=9.0) for _ in range(2))
    assert trained_on(first) == trained_on(second)
    for name in JUDGED:
        np.testing.assert_array_equal(getattr(first, name).waveforms, getattr(second, name).waveforms)
        assert getattr(first, name).recording_ids == getattr(second, name).recording_ids


def test_a_take_shorter_than_a_clip_stops_the_study_or_is_skipped_and_listed() -> None:
    short = recording("car1/normal/short", num_samples=999)
    source = Corpus(name="made", description="", recordings=(*corpus().recordings, short))
    with pytest.raises(BadRecording, match=r"'car1/normal/short' must last at least 1 s, but got 0\.999 s"):
        prepare(source)
    dataset = prepare(source, skip_bad_files=True)
    assert [skipped.name for skipped in dataset.skipped()] == ["car1/normal/short"]
    assert all("car1/normal/short" not in getattr(dataset, name).recording_ids for name in JUDGED)
    assert "car1/normal/short" not in trained_on(dataset)


def test_other_rates_are_resampled_and_clips_have_the_studys_length() -> None:
    recordings = tuple(recording(r.recording_id, r.label, machine=r.machine) for r in corpus().recordings)
    clips = ClipConfig(clip_seconds=0.75, evaluation_seconds=30, calibration_seconds=30)
    dataset = prepare_dataset(
        Corpus(name="made", description="", recordings=recordings),
        DataConfig(sample_rate_hz=RATE_HZ // 2, clips=clips, split=SplitConfig()),
    )
    assert dataset.validation.waveforms.shape[1:] == (2, 375)
    assert dataset.training.order(0).at(0).read().shape == (2, 375)
    assert dataset.num_channels == 2
    assert dataset.notes == ("36 recordings at 1000 Hz were resampled to 500 Hz",)


@pytest.mark.parametrize(
    ("name", "value"), [("clip_seconds", 0.0), ("evaluation_seconds", 5.9), ("calibration_seconds", float("nan"))]
)
def test_an_impossible_budget_is_named_in_one_line(name: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"^clips\.{name} must be [^\n]*, but got {value}\.$"):
        ClipConfig(**{name: value})


def test_a_machine_with_one_calibration_clip_is_refused() -> None:
    with pytest.raises(UserError, match=r"must have 2 clips or more of each machine, but car\d has 1"):
        prepare(corpus(), evaluation_seconds=9.0, calibration_seconds=3.0)
