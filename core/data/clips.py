"""Clips: the stretches of takes that are trained on and judged.

Training clips cover their takes from end to end and are read when they are needed. Judged clips are a limited number,
spread over their takes, and held in memory.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.audio import Waveform
from core.data.dealing import unit
from core.data.recordings import Take
from core.errors import UserError

Spans = tuple[tuple[float, float], ...]
"""Start and end of each stretch, in seconds; the end is excluded."""


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """How long clips are, and how much audio is judged."""

    clip_seconds: float = 3.0
    """Length of a clip. Takes must be at least as long."""
    evaluation_seconds: float = 120.0
    """Audio judged after every epoch in validation, and the same amount in test."""
    calibration_seconds: float = 60.0
    """Normal audio from which mu and sigma are measured after every epoch."""

    def __post_init__(self) -> None:
        if not self.clip_seconds > 0:
            raise UserError(f"clips.clip_seconds must be above 0, but got {self.clip_seconds}.")
        for name in ("evaluation_seconds", "calibration_seconds"):
            if not getattr(self, name) >= 2 * self.clip_seconds:
                raise UserError(
                    f"clips.{name} must be at least two clips ({2 * self.clip_seconds:g} s), "
                    f"but got {getattr(self, name)}."
                )

    def max_clips(self, split: str) -> int:
        """How many clips the budget of a judged split holds."""
        seconds = self.calibration_seconds if split == "calibration" else self.evaluation_seconds
        return int(seconds / self.clip_seconds + 1e-9)


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """A stretch of a take, read when it is needed."""

    take: Take
    start: int
    """First sample."""
    num_samples: int

    def read(self, first: int = 0, end: int | None = None) -> Waveform:
        """(C, end - first) float32; both indices count from the start of the clip."""
        stop = self.num_samples if end is None else end
        return self.take.audio.read(self.start + first, self.start + stop)

    @property
    def spans(self) -> Spans | None:
        """The labelled events within the clip; None for an anomalous take without labelled events."""
        if self.take.recording.events is None:
            return None if self.take.recording.label == "anomalous" else ()
        rate = self._samples_per_second
        end = self.start + self.num_samples
        events = [(round(start_s * rate), round(end_s * rate)) for start_s, end_s in self.take.recording.events]
        inside = [(max(a, self.start), min(b, end)) for a, b in events]
        # One sample is rounding: an event that ends where a clip begins is not in it.
        return tuple(((a - self.start) / rate, (b - self.start) / rate) for a, b in inside if b - a > 1)

    @property
    def is_anomalous(self) -> bool:
        """Whether the take is anomalous and, if its events are labelled, whether one of them is in this clip."""
        return self.take.recording.label == "anomalous" and self.spans != ()

    @property
    def _samples_per_second(self) -> float:
        """The study's rate or slightly more, because resampling rounds the length up to a whole sample."""
        return self.take.audio.num_samples / self.take.recording.seconds


@dataclass(frozen=True, kw_only=True)
class ClipSet:
    """N clips of one length with their attributes."""

    waveforms: Waveform
    """(N, C, T)."""
    recording_ids: tuple[str, ...]
    machines: tuple[str, ...]
    conditions: tuple[str, ...]
    starts_s: tuple[float, ...]
    """The start of each clip in its take."""
    is_anomalous: npt.NDArray[np.bool_]
    """(N,)."""
    events: tuple[Spans, ...] | None = None
    """The events of each clip, from its start; None unless they are known for every clip."""

    def __len__(self) -> int:
        return len(self.recording_ids)


def clips_of(take: Take, clip_samples: int, *, most: int | None = None) -> list[Clip]:
    """Clips that do not overlap: all of them end to end, or at most `most`, spread evenly over the take.

    In a take with labelled events, half of the `most` clips contain an event, if there are enough of both kinds.
    """
    num_samples = take.audio.num_samples
    num_clips = num_samples // clip_samples
    everywhere = [Clip(take=take, start=i * clip_samples, num_samples=clip_samples) for i in range(num_clips)]
    if most is None or most >= num_clips:
        return everywhere
    if take.recording.events:
        faulty = [clip for clip in everywhere if clip.is_anomalous]
        others = [clip for clip in everywhere if not clip.is_anomalous]
        faulty = _spread(faulty, max((most + 1) // 2, most - len(others)))
        return sorted(faulty + _spread(others, most - len(faulty)), key=lambda clip: clip.start)
    last = num_samples - clip_samples
    starts = [last // 2] if most == 1 else [int(start) for start in np.linspace(0, last, most)]
    return [Clip(take=take, start=start, num_samples=clip_samples) for start in starts]


def clips_of_all(takes: Sequence[Take], clip_samples: int, *, most: int | None) -> list[Clip]:
    """`clips_of` for several takes."""
    return [clip for take in takes for clip in clips_of(take, clip_samples, most=most)]


def _spread(clips: Sequence[Clip], most: int) -> list[Clip]:
    """At most `most` of the clips, evenly spaced."""
    if len(clips) <= most:
        return list(clips)
    return [clips[(2 * i + 1) * len(clips) // (2 * most)] for i in range(most)]


def read_clips(takes: Sequence[Take], clip_samples: int, sample_rate_hz: int, *, most: int | None = None) -> ClipSet:
    """Clips of all takes, at most `most` of each, in memory."""
    clips = clips_of_all(takes, clip_samples, most=most)
    recordings = [clip.take.recording for clip in clips]
    is_anomalous = np.array([clip.is_anomalous for clip in clips])
    spans = tuple(clip.spans for clip in clips)
    return ClipSet(
        waveforms=np.stack([clip.read() for clip in clips]),
        recording_ids=tuple(recording.recording_id for recording in recordings),
        machines=tuple(recording.machine for recording in recordings),
        conditions=tuple(r.condition if a else "normal" for r, a in zip(recordings, is_anomalous, strict=True)),
        starts_s=tuple(clip.start / sample_rate_hz for clip in clips),
        is_anomalous=is_anomalous,
        events=None if None in spans or not any(spans) else tuple(span or () for span in spans),
    )


def spread_over_strata(takes: Sequence[Take], max_clips: int, split_name: str) -> list[Take]:
    """All takes if the budget has a clip for each, else `max_clips` takes, alternating between (machine, label).

    Within these it alternates between conditions, whose takes come in an order by a hash of their ids: the first by
    name would be those of the first days.
    """
    if len(takes) <= max_clips:
        return list(takes)
    strata = _groups(takes, lambda take: (take.recording.machine, take.recording.label))
    check_budget(max_clips, len(strata), split_name)
    return _in_turn(map(_conditions_in_turn, strata))[:max_clips]


def _conditions_in_turn(takes: Sequence[Take]) -> list[Take]:
    in_order = sorted(takes, key=lambda take: unit(0, take.recording.recording_id))
    return _in_turn(_groups(in_order, lambda take: take.recording.condition))


def _groups(takes: Iterable[Take], key: Callable[[Take], Any]) -> list[list[Take]]:
    """The takes of each key, in the order in which the keys occur."""
    groups: dict[Any, list[Take]] = defaultdict(list)
    for take in takes:
        groups[key(take)].append(take)
    return list(groups.values())


def _in_turn(groups: Iterable[Sequence[Take]]) -> list[Take]:
    """The first of each group, then the second of each that has one, and so on."""
    return [take for row in zip_longest(*groups) for take in row if take is not None]


def check_budget(max_clips: int, num_strata: int, split_name: str) -> None:
    """Raises UserError if the budget has fewer clips than there are groups of machine and label."""
    if max_clips < num_strata:
        raise UserError(
            f"The budget for {split_name} must hold a clip of each of {num_strata} groups of machine and label, "
            f"but holds {max_clips}. Raise clips.evaluation_seconds and clips.calibration_seconds."
        )
