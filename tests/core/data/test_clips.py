"""Clips of takes with labelled events: which contain the fault, where, and how many of each kind are judged."""

from dataclasses import replace
from itertools import pairwise
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.audio import quantise
from core.data.clips import Clip, ClipConfig, Spans, clips_of, read_clips
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.data.recordings import Corpus, Recording, Take
from core.data.splits import SplitConfig
from core.errors import UserError

RATE_HZ = 1000


def take(events: Spans | None, *, seconds: float = 10.0, label: str = "anomalous", name: str = "take") -> Take:
    num_samples = round(seconds * RATE_HZ)
    samples = np.random.default_rng(0).standard_normal((1, num_samples)).astype(np.float32)
    recording = Recording(
        recording_id=name,
        machine="fan",
        label=label,
        condition="knock" if label == "anomalous" else "normal",
        num_channels=1,
        sample_rate_hz=RATE_HZ,
        num_samples=num_samples,
        digest=name,
        events=events,
        read=lambda: samples,
    )
    return Take(recording=recording, audio=quantise(samples))


def faulty_starts(of: Take, clip_seconds: float = 1.0, most: int | None = None) -> list[float]:
    clips = clips_of(of, round(clip_seconds * RATE_HZ), most=most)
    return [clip.start / RATE_HZ for clip in clips if clip.is_anomalous]


@pytest.mark.parametrize(
    ("events", "starts"),
    [
        (((2.5, 2.75),), [2]),
        (((2.0, 3.0),), [2]),  # from border to border
        (((2.9, 4.1),), [2, 3, 4]),
        (((0.0, 0.5), (9.5, 10.0)), [0, 9]),
        (((0.0, 10.0),), list(range(10))),
        (((1.2, 1.3), (1.6, 1.9)), [1]),
        ((), []),
    ],
)
def test_a_clip_is_anomalous_where_the_fault_is_heard_in_it(events, starts):
    assert faulty_starts(take(events)) == starts


def test_a_fault_of_unknown_place_is_everywhere_and_a_normal_take_has_none():
    assert len(faulty_starts(take(None))) == 10
    assert {clip.spans for clip in clips_of(take(None), 1000)} == {None}
    assert faulty_starts(take(None, label="normal")) == faulty_starts(take(None, label="unknown")) == []
    assert {clip.spans for clip in clips_of(take(None, label="normal"), 1000)} == {()}


def test_spans_count_from_the_clip_and_end_with_it():
    clips = clips_of(take(((0.25, 0.5), (0.75, 2.125))), 1000)
    assert [clip.spans for clip in clips[:4]] == [((0.25, 0.5), (0.75, 1.0)), ((0.0, 1.0),), ((0.0, 0.125),), ()]


class Resampled:
    """Audio of which only the length matters."""

    num_channels = 1

    def __init__(self, num_samples: int) -> None:
        self.num_samples = num_samples


@given(
    from_hz=st.sampled_from([4000, 8000, 11_025, 16_000, 22_050, 44_100, 48_000]),
    to_hz=st.sampled_from([1000, 2000, 4000]),
    extra_samples=st.integers(0, 200_000),
    which=st.integers(0, 1000),
)
def test_a_fault_from_border_to_border_is_in_no_other_clip_whatever_was_resampled(from_hz, to_hz, extra_samples, which):
    num_samples = ceil(from_hz / 2) + extra_samples
    length = to_hz // 20
    audio = Resampled(ceil(num_samples * to_hz / from_hz))
    num_clips = audio.num_samples // length
    place = which % num_clips
    of = take(((place / 20, (place + 1) / 20),)).recording
    recording = replace(of, sample_rate_hz=from_hz, num_samples=num_samples)
    clips = [
        Clip(take=Take(recording=recording, audio=audio), start=number * length, num_samples=length)
        for number in range(num_clips)
    ]
    assert [number for number, clip in enumerate(clips) if clip.is_anomalous] == [place]
    (span,) = clips[place].spans
    assert span == pytest.approx((0, 0.05), abs=1.1 / to_hz)


events = st.lists(st.tuples(st.integers(0, 19), st.integers(1, 4)), max_size=4).map(
    lambda pairs: tuple((start / 2, min(10.0, start / 2 + length / 2)) for start, length in pairs)
)


@given(events=events, most=st.integers(1, 12))
def test_the_budget_is_spent_half_on_clips_with_the_fault_as_far_as_there_are_so_many(events, most):
    of = take(events)
    everywhere = clips_of(of, 1000)
    chosen = clips_of(of, 1000, most=most)
    num_faulty, num_all_faulty = (sum(clip.is_anomalous for clip in clips) for clips in (chosen, everywhere))
    starts = [clip.start for clip in chosen]
    assert len(chosen) == min(most, 10)
    assert starts == sorted(set(starts))
    assert all(later - earlier >= 1000 for earlier, later in pairwise(starts))
    if events and most < 10:
        half = (most + 1) // 2
        assert num_faulty >= min(half, num_all_faulty)
        assert most - num_faulty >= min(most - half, 10 - num_all_faulty)


def test_clips_of_one_kind_are_spread_over_the_take():
    assert faulty_starts(take(((2.0, 10.0),)), most=4) == [4, 8]
    assert faulty_starts(take(((0.0, 10.0),)), most=5) == [1, 3, 5, 7, 9]


def test_a_set_of_clips_knows_the_events_where_every_clip_does_and_any_has_one():
    knocking, normal = take(((0.5, 1.25),)), take(None, label="normal")
    both = read_clips([knocking, normal], 1000, RATE_HZ)
    assert both.events == (((0.5, 1.0),), ((0.0, 0.25),), *[()] * 18)
    assert both.is_anomalous.tolist() == [True, True, *[False] * 18]
    assert both.conditions == ("knock", "knock", *["normal"] * 18)
    assert read_clips([knocking, normal, take(None)], 1000, RATE_HZ).events is None
    assert read_clips([normal], 1000, RATE_HZ).events is None


def prepare(events: Spans, **clips: float) -> Dataset:
    takes = [take(None, label="normal", name=f"normal {i}") for i in range(9)]
    takes += [take(events, name=f"knock {i}") for i in range(4)]
    recordings = tuple(each.recording for each in takes)
    return prepare_dataset(
        Corpus(name="made", description="", recordings=recordings),
        DataConfig(sample_rate_hz=RATE_HZ, clips=ClipConfig(**clips), split=SplitConfig()),
    )


@pytest.mark.parametrize("evaluation_seconds", [4.0, 7.0, 20.0, 500.0])
def test_a_short_fault_in_long_takes_is_judged_in_validation_and_test_at_any_budget(evaluation_seconds):
    dataset = prepare(((7.25, 7.5),), clip_seconds=1.0, evaluation_seconds=evaluation_seconds)
    for clips in (dataset.validation, dataset.test):
        assert clips.events is not None
        assert [bool(spans) for spans in clips.events] == clips.is_anomalous.tolist()
        assert {start for start, spans in zip(clips.starts_s, clips.events, strict=True) if spans} == {7.0}
        assert {spans for spans in clips.events if spans} == {((0.25, 0.5),)}


def test_a_fault_that_no_clip_reaches_is_refused_in_one_line():
    with pytest.raises(
        UserError, match=r"^The clips of validation must be some [^\n]* with none with a fault\. Raise "
    ):
        prepare(((9.5, 9.75),), clip_seconds=3.0)
