"""Reasons: a change that is put into one group of statistics is named, with its bands, direction and microphone."""

from dataclasses import replace

import numpy as np
import pytest

from core.decision.clip_statistics import OF_CHANGES
from core.decision.innovations_statistic import CHANGING, InnovationsStatistic, fit_innovations
from core.decision.postprocess import STATISTICS, Event, PostprocessingConfig
from core.decision.reasons import MAX_REASONS, WORDS, Reason, reasons_of
from core.model.frame_statistics import FrameVectors, band_edges_hz, num_statistics, statistic_groups
from core.model.frontend import FrontEndConfig

RATE_HZ, NUM_FRAMES = 4800, 60
FRONT_END = FrontEndConfig(sample_rate_hz=RATE_HZ, spectrum_rate_hz=2 * RATE_HZ)
WINDOW_MS = {"machine": 2000, "clip": 20}
EVENT = Event(first_frame=20, end_frame=50)


def clips(num_clips: int, *, seed: int) -> FrameVectors:
    shape = (num_clips, 2, NUM_FRAMES, num_statistics(2))
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float16)


def fitted(baseline: str, window_ms: float | None = None, statistics: str = "all") -> InnovationsStatistic:
    plain = PostprocessingConfig(window_ms=window_ms or WINDOW_MS[baseline], gap_ms=20, min_event_ms=20, median_ms=0)
    config = replace(plain, baseline=baseline, statistics=statistics)  # type: ignore[arg-type]
    return fit_innovations(config, clips(12, seed=0), ["fan"] * 12, [str(take) for take in range(12)], frame_ms=20.0)


def reasons(frames: FrameVectors, *, baseline: str = "machine", channel: int = 1) -> tuple[Reason, ...]:
    return reasons_of(fitted(baseline), frames, EVENT, "fan", channel=channel, front_end=FRONT_END)


def changed(group: str, by: float, *, bands: slice = slice(None)) -> FrameVectors:
    """A clip whose second microphone deviates within the event."""
    frames = clips(1, seed=1)[0]
    place = statistic_groups(2)[group]
    frames[1, 20:50, place][:, bands] += np.float16(by)
    return frames


@pytest.mark.parametrize("group", ["likelihood", "colour", "whiteness", "spectrum", "level"])
@pytest.mark.parametrize("by", [8.0, -8.0])
def test_the_group_that_changed_is_named_with_its_direction(group: str, by: float) -> None:
    strongest = reasons(changed(group, by))[0]
    assert (strongest.group, strongest.is_above) == (group, by > 0)
    assert strongest.band_hz is None, "all bands deviate"


@pytest.mark.parametrize(
    ("group", "words", "rate_hz"),
    [("spectrum", "stronger than usual", 2 * RATE_HZ), ("colour", "more that was not expected", RATE_HZ)],
)
def test_bands_are_in_hertz_of_the_sound_or_of_what_the_network_hears(group: str, words: str, rate_hz: int) -> None:
    strongest = reasons(changed(group, 20.0, bands=slice(3, 6)))[0]
    low, high = band_edges_hz(rate_hz)[[3, 6]]
    assert strongest.band_hz == (low, high)
    assert strongest.words == f"{words} between {low:.0f} and {high:.0f} Hz"


def test_of_a_clip_compared_with_itself_the_change_within_it_is_named() -> None:
    """What deviates from the machine for the whole clip is no change."""
    frames = changed("colour", 8.0, bands=slice(3, 6)) + np.float16(5)
    assert reasons(frames, baseline="clip")[0].band_hz == tuple(band_edges_hz(RATE_HZ)[[3, 6]])


@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize("baseline", ["machine", "clip"])
def test_an_event_has_a_reason_whatever_the_statistics_are(baseline: str, statistics: str) -> None:
    group = "likelihood" if baseline == "machine" else CHANGING[statistics][0]  # which all statistics have
    statistic, frames = fitted(baseline, statistics=statistics), changed(group, 20.0)
    (strongest, *_) = reasons_of(statistic, frames, EVENT, "fan", channel=1, front_end=FRONT_END)
    assert strongest.group == group


def test_a_microphone_has_its_own_reasons() -> None:
    frames = changed("spectrum", 8.0)
    frames[0, 20:50, statistic_groups(2)["level"]] += np.float16(8)
    assert [reasons(frames, channel=channel)[0].group for channel in (0, 1)] == ["level", "spectrum"]


def test_a_second_reason_is_given_where_another_group_stands_out_too() -> None:
    both = changed("spectrum", 8.0)
    both[1, 20:50, statistic_groups(2)["likelihood"]] += np.float16(6)
    assert {reason.group for reason in reasons(both)} == {"spectrum", "likelihood"}


def test_normal_sound_that_is_flagged_all_the_same_has_a_reason() -> None:
    assert 1 <= len(reasons(clips(1, seed=5)[0])) <= MAX_REASONS


def test_of_a_whole_clip_that_swings_it_is_said_that_it_is_unsteady() -> None:
    frames = clips(1, seed=1)[0]
    frames[1, ::2, statistic_groups(2)["spectrum"]] += np.float16(6)
    frames[1, 1::2, statistic_groups(2)["spectrum"]] -= np.float16(6)
    whole = Event(first_frame=0, end_frame=NUM_FRAMES)
    (first, *_) = reasons_of(fitted("machine"), frames, whole, "fan", channel=1, front_end=FRONT_END)
    assert (first.what, first.group) == ("unsteadier than usual", "spectrum changes")
    assert all("changes" not in reason.group for reason in reasons(frames))


def test_of_a_stretch_that_swings_it_is_said_that_it_is_unsteady() -> None:
    frames, half = clips(1, seed=1)[0], NUM_FRAMES // 2
    frames[1, :half:2, statistic_groups(2)["spectrum"]] += np.float16(6)
    frames[1, 1:half:2, statistic_groups(2)["spectrum"]] -= np.float16(6)
    statistic = fitted("machine", window_ms=20.0 * half)
    assert statistic.num_stretches == 2
    stretch = Event(first_frame=0, end_frame=half)
    (first, *_) = reasons_of(statistic, frames, stretch, "fan", channel=1, front_end=FRONT_END)
    assert (first.what, first.group) == ("unsteadier than usual", "spectrum changes")


def test_of_a_band_that_swings_alone_it_is_said_which_one_and_once() -> None:
    frames, place = clips(1, seed=1)[0], statistic_groups(2)["spectrum"].start
    frames[1, ::2, place + 3 : place + 6] += np.float16(9)
    frames[1, 1::2, place + 3 : place + 6] -= np.float16(9)
    whole = Event(first_frame=0, end_frame=NUM_FRAMES)
    found = reasons_of(fitted("machine"), frames, whole, "fan", channel=1, front_end=FRONT_END)
    low, high = band_edges_hz(2 * RATE_HZ)[[3, 6]]
    assert found[0].words == f"unsteadier than usual between {low:.0f} and {high:.0f} Hz"
    assert [each.words.startswith("unsteadier than usual") for each in found].count(True) == 1


def swelling(frames: FrameVectors, first: int, end: int) -> FrameVectors:
    """The second microphone's sound swells and fades slowly, at one frequency of modulation."""
    slow = 6 * np.sin(2 * np.pi * np.arange(end - first) / 10)
    frames[1, first:end, statistic_groups(2)["spectrum"]] += slow[:, None].astype(np.float16)
    return frames


def test_what_swells_and_fades_is_a_reason_of_a_whole_clip_alone() -> None:
    frames, whole = swelling(clips(1, seed=1)[0], 0, NUM_FRAMES), Event(first_frame=0, end_frame=NUM_FRAMES)
    found = reasons_of(fitted("machine"), frames, whole, "fan", channel=1, front_end=FRONT_END)
    assert "swells and fades more than usual" in [reason.words for reason in found]
    assert not {reason.group for reason in reasons(swelling(clips(1, seed=1)[0], 0, NUM_FRAMES))} & set(OF_CHANGES)


def test_an_event_of_several_stretches_has_the_reasons_of_the_strangest() -> None:
    """Stretches of another length than those that were calibrated are never compared by how they change."""
    statistic = fitted("machine", window_ms=20.0 * NUM_FRAMES / 6)
    two = Event(first_frame=10, end_frame=30)
    healthy = reasons_of(statistic, clips(1, seed=1)[0], two, "fan", channel=1, front_end=FRONT_END)
    assert all(reason.sigmas < 4 for reason in healthy)
    frames = clips(1, seed=1)[0]
    frames[1, 20:30, statistic_groups(2)["spectrum"]][:, 3:6] += np.float16(20)
    (first, *_) = reasons_of(statistic, frames, two, "fan", channel=1, front_end=FRONT_END)
    assert first.band_hz == tuple(band_edges_hz(2 * RATE_HZ)[[3, 6]])


def test_a_knock_is_a_reason() -> None:
    strongest = reasons(changed("impulses", 8.0))[0]
    assert strongest.words == "knocks more than usual"


def test_directions_and_bands_are_those_that_can_be_seen_in_a_spectrogram() -> None:
    """Takes move all bands together, and this clip has all below normal, some of them less than the others."""
    random, place = np.random.default_rng(0), statistic_groups(2)["spectrum"]
    healthy = clips(60, seed=0)
    healthy[..., place] += random.standard_normal((60, 1, 1, 1)).astype(np.float16) * np.float16(3)
    config = PostprocessingConfig(window_ms=2000, statistics="spectrum", gap_ms=20, min_event_ms=20, median_ms=0)
    statistic = fit_innovations(config, healthy, ["fan"] * 60, [str(take) for take in range(60)], frame_ms=20.0)
    frames = clips(1, seed=1)[0]
    frames[..., place] -= np.float16(9)
    frames[..., place][..., 3:6] += np.float16(4)
    whole = Event(first_frame=0, end_frame=NUM_FRAMES)
    [reason] = reasons_of(statistic, frames, whole, "fan", channel=1, front_end=FRONT_END)
    assert reason.what == "weaker than usual"


def test_of_an_event_the_direction_is_that_of_the_bands_that_can_be_seen_to_change() -> None:
    """Takes move all bands together, so three bands that fall while the others rise a little are the strange ones."""
    random, place = np.random.default_rng(0), statistic_groups(2)["spectrum"]
    healthy = clips(60, seed=0)
    healthy[..., place] += random.standard_normal((60, 1, 1, 1)).astype(np.float16) * np.float16(3)
    config = PostprocessingConfig(
        window_ms=20, statistics="spectrum", baseline="clip", gap_ms=20, min_event_ms=20, median_ms=0
    )
    statistic = fit_innovations(config, healthy, ["fan"] * 60, [str(take) for take in range(60)], frame_ms=20.0)
    frames = clips(1, seed=1)[0]
    event = frames[1, EVENT.first_frame : EVENT.end_frame, place]
    event += np.float16(2)
    event[:, 3:6] -= np.float16(8)
    (reason, *_) = reasons_of(statistic, frames, EVENT, "fan", channel=1, front_end=FRONT_END)
    low, high = band_edges_hz(2 * RATE_HZ)[[3, 6]]
    assert reason.words == f"weaker than usual between {low:.0f} and {high:.0f} Hz"
    assert reason.sigmas > 4


def test_every_group_has_words() -> None:
    assert set(WORDS) == set(fitted("machine").normal.groups)
