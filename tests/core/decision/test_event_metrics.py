"""Event-based and segment-based F1: counted by hand, and by brute force."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decision.event_metrics import ONSET_TOLERANCE_S, SEGMENT_S, EventMetrics, event_counts, event_metrics

Clip = list[tuple[float, float]]


def measure(*clips: tuple[Clip, Clip], clip_seconds: float = 2.0) -> EventMetrics:
    """Counts for clips that are given as pairs of flagged and labelled events."""
    return event_metrics(event_counts([e for e, _ in clips], [r for _, r in clips], clip_seconds=clip_seconds))


@pytest.mark.parametrize(
    ("flagged", "labelled", "hits"),
    [
        ([(0.5, 1.0)], [(0.5, 1.0)], 1),
        ([(0.5, 1.9)], [(0.5, 0.6)], 1),  # ends do not count
        ([(0.75, 1.0)], [(0.5, 1.0)], 1),  # on the edge of the tolerance
        ([(0.55, 1.0)], [(0.3, 1.0)], 1),  # so too, where 0.55 - 0.25 is a little more than 0.3
        ([(0.05, 1.0)], [(0.3, 1.0)], 1),
        ([(0.76, 1.0)], [(0.5, 1.0)], 0),
        ([(0.24, 1.0)], [(0.5, 1.0)], 0),
        ([(0.4, 0.45), (0.5, 1.0)], [(0.5, 1.0)], 1),  # one of the two is a false alarm
        ([(0.5, 1.0)], [(0.4, 0.45), (0.5, 1.0)], 1),  # one of the two is missed
        ([(0.2, 0.3), (0.4, 0.5)], [(0.0, 0.1), (0.21, 0.3)], 2),  # the nearest first would find one alone
        ([], [(0.5, 1.0)], 0),
        ([(0.5, 1.0)], [], 0),
    ],
)
def test_an_event_is_found_by_its_onset_and_once(flagged, labelled, hits):
    metrics = measure((flagged, labelled))
    assert metrics.event_precision == pytest.approx(hits / len(flagged) if flagged else 0)
    assert metrics.event_recall == pytest.approx(hits / len(labelled) if labelled else 0)
    assert metrics.event_f1 == pytest.approx(2 * hits / (len(flagged) + len(labelled)))
    assert (metrics.num_events, metrics.num_flagged) == (len(labelled), len(flagged))


@pytest.mark.parametrize(
    ("flagged", "labelled", "counts"),
    [
        ([(0.0, 0.3)], [(0.0, 0.3)], (3, 0, 0)),
        ([(0.3, 0.7)], [(0.3, 0.7)], (4, 0, 0)),  # 0.3 / 0.1 and 0.7 / 0.1 lie a little below 3 and 7
        ([(0.0, 0.1 * 3)], [(0.0, 0.3)], (3, 0, 0)),  # and 0.1 * 3 is a little more than 0.3
        ([(0.05, 0.25)], [(0.0, 0.3)], (3, 0, 0)),  # touching a segment is enough
        ([(0.1, 0.5)], [(0.3, 0.8)], (2, 2, 3)),
        ([(0.1, 0.2)], [(0.2, 0.3)], (0, 1, 1)),
        ([(1.9, 2.5)], [(1.85, 2.0)], (1, 0, 1)),  # nothing counts beyond the clip
        ([], [(0.0, 0.2)], (0, 0, 2)),
        ([(0.0, 0.2)], [], (0, 2, 0)),
    ],
)
def test_segments_are_counted_where_an_event_overlaps_them(flagged, labelled, counts):
    hits, false_alarms, misses = counts
    metrics = measure((flagged, labelled))
    assert metrics.segment_f1 == pytest.approx(2 * hits / (2 * hits + false_alarms + misses))
    assert metrics.segment_precision == pytest.approx(hits / (hits + false_alarms) if flagged else 0)
    assert metrics.segment_recall == pytest.approx(hits / (hits + misses) if labelled else 0)


def test_counts_are_pooled_over_clips_and_events_of_different_clips_never_match():
    found = ([(0.5, 1.0)], [(0.5, 1.0)])
    metrics = measure(found, ([(0.5, 1.0)], []), ([], [(0.5, 1.0)]), ([], []))
    assert metrics.event_f1 == pytest.approx(1 / 2)
    assert metrics.segment_f1 == pytest.approx(1 / 2)


@pytest.mark.parametrize("clips", [[], [([], [])]])
def test_figures_are_zero_where_nothing_is_flagged_and_nothing_labelled(clips):
    metrics = measure(*clips)
    assert (metrics.event_f1, metrics.segment_f1, metrics.num_events) == (0, 0, 0)


def test_the_last_segment_of_a_clip_may_be_shorter():
    assert measure(([(0.0, 0.25)], [(0.2, 0.25)]), clip_seconds=0.25).segment_precision == pytest.approx(1 / 3)


def test_lists_of_different_lengths_are_an_internal_error():
    with pytest.raises(ValueError, match="argument"):
        event_counts([[]], [[], []], clip_seconds=1.0)


# Steps of 50 ms with an offset of half a step, so that no difference equals the tolerance or a segment's edge.
onsets = st.lists(st.integers(0, 20), unique=True, max_size=5).map(sorted)


def as_events(starts: list[int], *, offset_s: float) -> Clip:
    return [(0.05 * start + offset_s, 0.05 * start + offset_s + 0.04) for start in starts]


def most_pairs(flagged: Clip, labelled: Clip) -> int:
    """The best matching, by trying every order of the longer list against the shorter."""
    short, long = sorted((flagged, labelled), key=len)
    return max(
        sum(abs(a[0] - b[0]) <= ONSET_TOLERANCE_S for a, b in zip(short, order, strict=True))
        for order in permutations(long, len(short))
    )


@given(flagged=onsets, labelled=onsets)
def test_as_many_events_are_matched_as_possible(flagged, labelled):
    clip = as_events(flagged, offset_s=0.025), as_events(labelled, offset_s=0.0)
    assert measure(clip).event_recall * len(labelled) == pytest.approx(most_pairs(*clip))


@given(flagged=onsets, labelled=onsets)
def test_segments_agree_with_a_fine_grid_of_instants(flagged, labelled):
    clips = as_events(flagged, offset_s=0.005), as_events(labelled, offset_s=0.005)
    milliseconds = np.arange(2000) / 1000 + 0.0005
    heard = [
        np.any([(milliseconds >= a) & (milliseconds < b) for a, b in clip] + [np.zeros(2000, bool)], axis=0)
        for clip in clips
    ]
    e, r = (instants.reshape(-1, round(1000 * SEGMENT_S)).any(axis=1) for instants in heard)
    expected = 2 * np.sum(e & r) / max(1, e.sum() + r.sum())
    assert measure(clips).segment_f1 == pytest.approx(expected)
