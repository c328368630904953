"""How well faults are located inside clips: event-based and segment-based F1, for clips with labelled events.

Counts are pooled over all clips before they are divided (micro averages), as in the evaluations of DCASE (Mesaros and
others, Applied Sciences 2016). Events are (start_s, end_s), end excluded, in seconds from their clip's beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ClipEvents = Sequence[tuple[float, float]]
"""The events of one clip, none overlapping another; empty for a normal clip."""

Counts = npt.NDArray[np.int64]

ONSET_TOLERANCE_S = 0.25
"""The largest distance between the onsets of a labelled event and of the flagged event that finds it."""
SEGMENT_S = 0.1
"""DCASE uses 1 s for scenes of minutes; clips of a few seconds need a finer grid."""
ROUNDING = 1e-6
"""Tolerance in segments or seconds: 0.3 / 0.1 is a little less than 3, and 0.55 - 0.25 a little more than 0.3."""


@dataclass(frozen=True, kw_only=True)
class EventMetrics:
    """All are 0 where nothing is found and where nothing is labelled, as in `core.decision.metrics.f1_score`."""

    event_f1: float
    """By onset alone, because the end of a flagged event depends more on post-processing than on the sound."""
    event_precision: float
    event_recall: float
    segment_f1: float
    """A segment of SEGMENT_S is active where an event overlaps it."""
    segment_precision: float
    segment_recall: float
    num_events: int
    """Labelled ones."""
    num_flagged: int


@dataclass(frozen=True, kw_only=True)
class EventCounts:
    """The counts that the metrics are computed from, each (N,) for N clips."""

    matched: Counts
    """Labelled events that were found."""
    labelled: Counts
    flagged: Counts
    shared_segments: Counts
    """Segments that are both labelled and flagged."""
    labelled_segments: Counts
    flagged_segments: Counts


def event_counts(
    estimated: Sequence[ClipEvents], reference: Sequence[ClipEvents], *, clip_seconds: float
) -> EventCounts:
    """`estimated` and `reference` list the same clips, each `clip_seconds` long, in the same order.

    Each labelled event is matched with at most one flagged event, in the way that matches most of them. Parts of events
    outside the clip are in no segment.
    """
    matched = [_num_matched(flagged, labelled) for flagged, labelled in zip(estimated, reference, strict=True)]
    heard, labelled = (_active_segments(clips, clip_seconds) for clips in (estimated, reference))
    return EventCounts(
        matched=np.array(matched, dtype=np.int64),
        labelled=np.array([len(clip) for clip in reference], dtype=np.int64),
        flagged=np.array([len(clip) for clip in estimated], dtype=np.int64),
        shared_segments=np.sum(heard & labelled, axis=1),
        labelled_segments=np.sum(labelled, axis=1),
        flagged_segments=np.sum(heard, axis=1),
    )


def event_metrics(counts: EventCounts) -> EventMetrics:
    """The metrics of all clips together."""
    matched, num_events, num_flagged = (int(each.sum()) for each in (counts.matched, counts.labelled, counts.flagged))
    shared, num_labelled, num_heard = (
        int(each.sum()) for each in (counts.shared_segments, counts.labelled_segments, counts.flagged_segments)
    )
    return EventMetrics(
        event_f1=_share(2 * matched, num_events + num_flagged),
        event_precision=_share(matched, num_flagged),
        event_recall=_share(matched, num_events),
        segment_f1=_share(2 * shared, num_labelled + num_heard),
        segment_precision=_share(shared, num_heard),
        segment_recall=_share(shared, num_labelled),
        num_events=num_events,
        num_flagged=num_flagged,
    )


def _share(hits: int, total: int) -> float:
    return hits / total if total else 0.0


def _num_matched(flagged: ClipEvents, labelled: ClipEvents) -> int:
    """Size of the largest matching of onsets within the tolerance."""
    if not flagged or not labelled:
        return 0
    from mir_eval.util import match_events  # imported here: it takes a second, and most studies have no events

    onsets = [np.array([start_s for start_s, _ in events]) for events in (labelled, flagged)]
    return len(match_events(*onsets, ONSET_TOLERANCE_S + ROUNDING))


def _active_segments(clips: Sequence[ClipEvents], clip_seconds: float) -> npt.NDArray[np.bool_]:
    """(N, S) for N clips of S segments, the last of which may be shorter."""
    num_segments = int(np.ceil(clip_seconds / SEGMENT_S - ROUNDING))
    active = np.zeros((len(clips), num_segments), dtype=np.bool_)
    for row, events in zip(active, clips, strict=True):
        for start_s, end_s in events:
            first = int(np.floor(start_s / SEGMENT_S + ROUNDING))
            end = int(np.ceil(end_s / SEGMENT_S - ROUNDING))
            row[max(0, first) : max(0, end)] = True
    return active
