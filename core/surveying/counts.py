"""Counts the recordings of a corpus, and their length, by machine, label, condition and part of the split.

A listed corpus is counted from its list. A stream is read once, and only the counts and what was skipped are kept.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from core.data.data_config import DataConfig, with_faults_if_needed
from core.data.dealing import Part
from core.data.decoding import check_long_enough, check_not_upsampled
from core.data.header_check import check_usable
from core.data.parts import with_parts
from core.data.recordings import BadRecording, Corpus, Label, Recording, Skipped, StreamedCorpus
from core.data.splits import Split, split_of, split_recordings
from core.data.streaming.judged_takes import check_strata, no_training_takes
from core.data.streaming.streamed_dataset import check_streamable
from core.errors import UserError

PARTS: tuple[Part, ...] = ("train", "calibration", "validation", "test")
LABELS: tuple[Label, ...] = ("normal", "anomalous", "unknown")

Progress = Callable[[int, int], None]
"""Is called with the number of counted recordings and of skipped entries."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Recordings with the same attributes."""

    machine: str
    label: Label
    condition: str
    num_channels: int
    sample_rate_hz: int
    parts: tuple[Part, ...]
    """Train and calibration with `calibration = "parts"`, else one. Empty for label "unknown" and without a split."""

    @property
    def order(self) -> tuple[str | int, ...]:
        """A sort key: by machine, normal before anomalous."""
        return self.machine, LABELS.index(self.label), self.condition, self.num_channels, self.sample_rate_hz


@dataclass(frozen=True, kw_only=True)
class Amount:
    """The size of some recordings."""

    num_recordings: int
    hours: float


@dataclass(frozen=True, kw_only=True)
class Events:
    """Labelled events."""

    num_recordings: int = 0
    """Recordings with at least one event."""
    num_events: int = 0
    seconds: float = 0.0


@dataclass(kw_only=True)
class Counts:
    """Everything that a survey counts."""

    recordings: Counter[Group] = field(default_factory=Counter)
    samples: Counter[Group] = field(default_factory=Counter)
    """Per channel."""
    events: Events = Events()
    skipped: list[Skipped] = field(default_factory=list)
    num_short: int = 0
    """Of those that are skipped: listed, and too short for a clip."""
    refusal: str | None = None
    """The line with which a study refuses the data; None if it does not."""
    notes: tuple[str, ...] = ()
    """What stands in for recordings that are missing."""
    stand_ins: "Counts | None" = None
    """The recordings with parts in place of takes, where a study splits those."""

    @property
    def total(self) -> Amount:
        return self.by().get((), Amount(num_recordings=0, hours=0.0))

    def by(self, *names: str) -> Mapping[tuple[Any, ...], Amount]:
        """Amounts by the values of these fields of Group, in the order of the groups."""
        groups: dict[tuple[Any, ...], list[Group]] = {}
        for group in sorted(self.recordings, key=lambda each: each.order):
            groups.setdefault(tuple(getattr(group, name) for name in names), []).append(group)
        return {key: self._amount(members) for key, members in groups.items()}

    def by_part(self, *names: str) -> Mapping[tuple[Any, ...], Amount]:
        """As `by`, with the part as the first of the key. A recording of two parts counts in both."""
        if self.stand_ins is not None:
            return self.stand_ins.by_part(*names)
        groups: dict[tuple[Any, ...], list[Group]] = {}
        for part in PARTS:
            for group in sorted(self.recordings, key=lambda each: each.order):
                if part in group.parts:
                    groups.setdefault((part, *(getattr(group, name) for name in names)), []).append(group)
        return {key: self._amount(members) for key, members in groups.items()}

    def _amount(self, groups: list[Group]) -> Amount:
        return Amount(
            num_recordings=sum(self.recordings[group] for group in groups),
            hours=math.fsum(self.samples[group] / group.sample_rate_hz for group in groups) / 3600,
        )

    def add(self, recording: Recording, parts: tuple[Part, ...]) -> None:
        group = Group(
            machine=recording.machine,
            label=recording.label,
            condition=recording.condition,
            num_channels=recording.num_channels,
            sample_rate_hz=recording.sample_rate_hz,
            parts=parts,
        )
        self.recordings[group] += 1
        self.samples[group] += recording.num_samples
        if recording.events:
            self.events = Events(
                num_recordings=self.events.num_recordings + 1,
                num_events=self.events.num_events + len(recording.events),
                seconds=self.events.seconds + sum(end - start for start, end in recording.events),
            )


def count(
    corpus: Corpus | StreamedCorpus,
    config: DataConfig,
    *,
    highest_rate_hz: int,
    progress: Progress = lambda *_: None,
) -> Counts:
    """Counts a corpus by the parts into which a study with this config splits it. Decodes nothing.

    `highest_rate_hz` is the highest sample rate that the study searches. What a study would refuse is no error here,
    but is kept in `refusal`. Raises UserError for a stream that cannot be read.
    """
    if isinstance(corpus, StreamedCorpus):
        return _count_stream(corpus, config, progress)
    return _count_list(corpus, config, highest_rate_hz)


def _count_list(corpus: Corpus, config: DataConfig, highest_rate_hz: int) -> Counts:
    num_listed = len(corpus.recordings)
    if config.skip_bad_files:
        corpus = _without_short(corpus, config.clips.clip_seconds)
    counts = Counts(skipped=list(corpus.skipped), num_short=num_listed - len(corpus.recordings))
    counts.refusal = _refusal(lambda: check_usable(corpus, config, highest_rate_hz=highest_rate_hz))
    with suppress(UserError):  # which `check_usable` raises as well
        with_faults = with_faults_if_needed(corpus.recordings, config)
        parted = with_parts(corpus, config.clips)
        parts = split_recordings(parted.corpus.recordings, config.split, needs_anomalous=with_faults.faults is None)
        counts.notes = (*parted.notes, *([with_faults.faults.describe()] if with_faults.faults else []))
        if parted.notes:
            counts.stand_ins = Counts()
            _add_all(counts.stand_ins, parted.corpus.recordings, parts)
        else:
            _add_all(counts, corpus.recordings, parts)
            return counts
    _add_all(counts, corpus.recordings, None)
    return counts


def _without_short(corpus: Corpus, min_seconds: float) -> Corpus:
    """As a study leaves them out. What only decoding shows is not known here."""
    usable, skipped = [], list(corpus.skipped)
    for recording in corpus.recordings:
        try:
            check_long_enough(recording, recording.seconds, min_seconds)
            usable.append(recording)
        except BadRecording as error:
            skipped.append(Skipped.because_of(error, recording.recording_id))
    return replace(corpus, recordings=tuple(usable), skipped=tuple(skipped))


def _add_all(counts: Counts, recordings: Iterable[Recording], split: Split | None) -> None:
    """`split` is None where there is none."""
    part_of: dict[str, list[Part]] = {}
    for part in PARTS if split else ():
        for recording in getattr(split, part):
            part_of.setdefault(recording.recording_id, []).append(part)
    for recording in recordings:
        counts.add(recording, tuple(part_of.get(recording.recording_id, ())))


def _refusal(check: Callable[[], None]) -> str | None:
    try:
        check()
    except UserError as error:
        return str(error)
    return None


def _count_stream(corpus: StreamedCorpus, config: DataConfig, progress: Progress) -> Counts:
    counts = Counts()
    counts.refusal = _refusal(lambda: check_streamable(config))
    num_recordings = 0
    for arrival in corpus.takes():
        if isinstance(arrival, Skipped):
            counts.skipped.append(arrival)
        else:
            part = split_of(arrival, config.split)
            counts.add(arrival, (part,) if part else ())
            counts.refusal = counts.refusal or _refusal(partial(check_not_upsampled, [arrival], config.sample_rate_hz))
            num_recordings += 1
        progress(num_recordings, len(counts.skipped))
    counts.refusal = counts.refusal or _refusal(lambda: _check_stream(counts))
    return counts


def _check_stream(counts: Counts) -> None:
    strata = set(counts.by_part("machine", "label"))
    if not any(part == "train" for part, _, _ in strata):
        raise no_training_takes()
    check_strata(strata, needs_anomalous=any(label == "anomalous" for _, _, label in strata))
