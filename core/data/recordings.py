"""Recordings, and the corpora that sources of recordings return.

A recording is one take of one machine with all its microphones and one label. Audio is read on demand as float32
(C, T): C channels (microphones), T samples at the recording's own rate, full scale 1.0.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np

from core.data.audio import Audio, Waveform
from core.data.channels import Channels
from core.errors import UserError

Label = Literal["normal", "anomalous", "unknown"]
AskedSplit = Literal["train", "validation", "test", "held_out"]
"""The part of the split that a source states; `held_out` is validation or test, which the study's seed decides."""

REPAIR = "Replace it, remove it, or leave it out with --skip-bad-files."


class BadRecording(UserError):
    """A recording cannot be used. The message names the file and the reason."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One take of one machine."""

    recording_id: str
    """Unique within its corpus, and the same on every computer, so never an absolute path."""
    machine: str
    label: Label
    condition: str = ""
    """The fault, if it is known ("bent shaft"); "normal" for normal takes."""
    num_channels: int
    sample_rate_hz: int
    num_samples: int
    """Samples per channel at the recording's own rate."""
    digest: str
    """Hex digest of everything that determines the audio: the files' bytes, or the simulation's parameters."""
    split: AskedSplit | None = None
    """The part that a manifest or the data set states; None leaves it to the study."""
    events: tuple[tuple[float, float], ...] | None = None
    """(start, end) of each event of an anomalous take, in seconds, end excluded; None if events are not labelled."""
    read: Callable[[], Waveform] = field(repr=False, compare=False)
    """Returns (C, T) float32. Raises BadRecording for unusable audio."""

    @property
    def seconds(self) -> float:
        return self.num_samples / self.sample_rate_hz


def long_enough(recordings: Iterable[Recording], min_seconds: float) -> list[Recording]:
    """Those of at least `min_seconds`, by their headers."""
    return [recording for recording in recordings if recording.seconds >= min_seconds]


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A file, take or row that is left out, and the reason."""

    name: str
    reason: str

    @classmethod
    def because_of(cls, error: BadRecording, name: str) -> Self:
        """The error as a reason, without the repair."""
        return cls(name=name, reason=str(error).removesuffix(f" {REPAIR}"))


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The listed recordings of a source, which are not decoded yet."""

    name: str
    """Short and usable in a file name: `simulated`, or the folder's name."""
    description: str
    """One line to print; states when the data is simulated."""
    recordings: tuple[Recording, ...]
    skipped: tuple[Skipped, ...] = ()
    channels: Channels | None = None
    """Those of the original recordings that are heard, where a study chose some."""

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits of the ids, labels, conditions, splits, events and digests; the order does not count."""
        rows = sorted(
            f"{r.recording_id}\t{r.machine}\t{r.label}\t{r.condition}\t{r.split}\t{r.events or ''}\t{r.digest}"
            for r in self.recordings
        )
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True, eq=False)
class Take:
    """A recording that has been decoded and checked."""

    recording: Recording
    audio: Audio
    """(C, T), finite, no channel silent, at the study's rate."""
    speed: float = 1.0
    """Playback speed relative to the recording."""


@dataclass(frozen=True, kw_only=True)
class StreamedCorpus:
    """A source that cannot be listed before it is read: takes arrive one by one."""

    name: str
    """Short and usable in a file name."""
    description: str
    fingerprint: str
    """Twelve hex digits of the data's revision or digest, and of the options that select from it."""
    machines: tuple[str, ...] | None = None
    """The machines of the stream; None if they are not known beforehand."""
    takes: Callable[[], Iterator[Recording | Skipped]] = field(repr=False, compare=False)
    """Each call starts from the beginning, with the same takes in the same order. A take holds its encoded bytes."""


def resample(waveform: Waveform, from_hz: int, to_hz: int) -> Waveform:
    """(C, T) to (C, ceil(T * to_hz / from_hz)) by soxr in high quality; the same array if the rates are equal."""
    if from_hz == to_hz:
        return waveform
    import librosa  # imported here, because it takes a second and is not needed if the rates are equal

    resampled = librosa.resample(waveform, orig_sr=from_hz, target_sr=to_hz, res_type="soxr_hq", axis=-1)
    return np.ascontiguousarray(resampled, dtype=np.float32)


def check_waveform(waveform: Waveform, name: str, *, numbers: Sequence[int] | None = None) -> None:
    """Raises BadRecording if (C, T) is empty, contains NaN or infinity, or has a constant channel.

    `numbers` are those of the channels in the file, for messages; without them they are counted from 1.
    """
    if waveform.size == 0:
        raise BadRecording(f"Recording {name!r} must hold samples, but got an empty one. {REPAIR}")
    if not np.isfinite(waveform).all():
        num_bad = int(waveform.size - np.isfinite(waveform).sum())
        raise BadRecording(f"Recording {name!r} must be finite, but got {num_bad} NaN or infinite samples. {REPAIR}")
    # A dead microphone with an offset is constant, too.
    silent = np.flatnonzero(waveform.max(axis=1) == waveform.min(axis=1))
    if silent.size:
        named = numbers or range(1, 1 + len(waveform))
        channels = ", ".join(str(named[channel]) for channel in silent.tolist())
        which = "" if named[-1] == len(waveform) else " that are heard"
        raise BadRecording(
            f"Recording {name!r} must have sound in each of its {len(waveform)} channels{which}, "
            f"but got silence in channel {channels}. {REPAIR}"
        )
