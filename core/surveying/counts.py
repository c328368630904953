"""What a corpus holds, counted: how many recordings, and how long, of each machine, label, condition and part.

A listed corpus is counted from its list. A streamed one goes by once, and nothing of it is kept but the counts and
what was skipped.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.data.recordings import Corpus, Label, Recording, Skipped, StreamedCorpus
from core.data.splits import Part, SplitConfig, split_of, split_recordings
from core.errors import UserError

PARTS: tuple[Part, ...] = ("train", "calibration", "validation", "test")
LABELS: tuple[Label, ...] = ("normal", "anomalous", "unknown")

Progress = Callable[[int, int], None]
"""Told how many recordings have been counted and how many things were skipped."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Recordings that a survey does not tell apart."""

    machine: str
    label: Label
    condition: str
    num_channels: int
    sample_rate_hz: int
    part: Part | None
    """None for label "unknown", and for every recording of a list that cannot be split."""

    @property
    def order(self) -> tuple[str | int, ...]:
        """Machine by machine, what is normal first."""
        place = PARTS.index(self.part) if self.part else len(PARTS)
        label = LABELS.index(self.label)
        return self.machine, label, self.condition, self.num_channels, self.sample_rate_hz, place


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much there is of something."""

    num_recordings: int
    hours: float


@dataclass(frozen=True, kw_only=True)
class Events:
    """Faults that somebody has labelled in time."""

    num_recordings: int = 0
    """Those that have any."""
    num_events: int = 0
    seconds: float = 0.0


@dataclass(kw_only=True)
class Counts:
    """What has been counted so far."""

    recordings: Counter[Group] = field(default_factory=Counter)
    samples: Counter[Group] = field(default_factory=Counter)
    """Of each channel."""
    events: Events = Events()
    skipped: list[Skipped] = field(default_factory=list)
    why_no_split: str | None = None
    """One line; None where the split can be made."""

    @property
    def total(self) -> Amount:
        return self.by().get((), Amount(num_recordings=0, hours=0.0))

    def by(self, *names: str) -> Mapping[tuple[Any, ...], Amount]:
        """Amounts by these fields of Group, in the order of the groups."""
        groups: dict[tuple[Any, ...], list[Group]] = {}
        for group in sorted(self.recordings, key=lambda each: each.order):
            groups.setdefault(tuple(getattr(group, name) for name in names), []).append(group)
        return {key: self._amount(members) for key, members in groups.items()}

    def _amount(self, groups: list[Group]) -> Amount:
        return Amount(
            num_recordings=sum(self.recordings[group] for group in groups),
            hours=math.fsum(self.samples[group] / group.sample_rate_hz for group in groups) / 3600,
        )

    def add(self, recording: Recording, part: Part | None) -> None:
        group = Group(
            machine=recording.machine,
            label=recording.label,
            condition=recording.condition,
            num_channels=recording.num_channels,
            sample_rate_hz=recording.sample_rate_hz,
            part=part,
        )
        self.recordings[group] += 1
        self.samples[group] += recording.num_samples
        if recording.events:
            self.events = Events(
                num_recordings=self.events.num_recordings + 1,
                num_events=self.events.num_events + len(recording.events),
                seconds=self.events.seconds + sum(end - start for start, end in recording.events),
            )


def count(corpus: Corpus | StreamedCorpus, split: SplitConfig, *, progress: Progress = lambda *_: None) -> Counts:
    """Counts a corpus, and deals it as a study does. A split that cannot be made is no error: the reason is kept.

    Decodes nothing. Raises UserError for what is wrong with a stream.
    """
    return _count_stream(corpus, split, progress) if isinstance(corpus, StreamedCorpus) else _count_list(corpus, split)


def _count_list(corpus: Corpus, split: SplitConfig) -> Counts:
    counts = Counts(skipped=list(corpus.skipped))
    part_of: dict[str, Part] = {}
    try:
        parts = split_recordings(corpus.recordings, split)
        part_of = {recording.recording_id: part for part in PARTS for recording in getattr(parts, part)}
    except UserError as error:
        counts.why_no_split = str(error)
    for recording in corpus.recordings:
        counts.add(recording, part_of.get(recording.recording_id))
    return counts


def _count_stream(corpus: StreamedCorpus, split: SplitConfig, progress: Progress) -> Counts:
    counts = Counts()
    num_recordings = 0
    for arrival in corpus.takes():
        if isinstance(arrival, Skipped):
            counts.skipped.append(arrival)
        else:
            counts.add(arrival, split_of(arrival, split))
            num_recordings += 1
        progress(num_recordings, len(counts.skipped))
    counts.why_no_split = _what_a_stream_lacks(counts)
    return counts


def _what_a_stream_lacks(counts: Counts) -> str | None:
    """Why a study could not work on what has come; None where it could."""
    there = counts.by("part", "label")
    if ("train", "normal") not in there:
        return "The stream must bring normal takes to train on, but brought none. Choose another split.seed."
    for part in ("validation", "test"):
        for label in ("normal", "anomalous"):
            if (part, label) not in there:
                return (
                    f"The stream must bring {label} takes for {part}, but brought none. "
                    "Choose another split.seed, larger fractions, or more data."
                )
    of_machines = counts.by("machine", "part")
    for machine, part in of_machines:
        if part in ("validation", "test") and (machine, "calibration") not in of_machines:
            return (
                f"Machine {machine!r} must have normal takes to calibrate on, but the stream brought none. "
                "Leave that machine out, or raise split.calibration_fraction."
            )
    return None
