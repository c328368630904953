"""What a recording is, and what every source of recordings returns.

A recording is one take of one machine: all its microphones, one label. Audio is read on demand as float32 (C, T):
C channels (microphones), T samples at the recording's own rate, full scale 1.0.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np

from core.data.audio import Audio, Waveform
from core.errors import UserError

Label = Literal["normal", "anomalous", "unknown"]
AskedSplit = Literal["train", "validation", "test", "held_out"]
"""Where a source wants a recording; `held_out` is validation or test, as the study's seed decides."""

REPAIR = "Replace it, remove it, or leave it out with --skip-bad-files."


class BadRecording(UserError):
    """One recording cannot be used. The message names the file and the reason."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One take of one machine."""

    recording_id: str
    """Unique within its corpus and the same on every machine: never an absolute path."""
    machine: str
    label: Label
    condition: str = ""
    """Which fault, where it is known ("bent shaft"); "normal" for normal takes."""
    num_channels: int
    sample_rate_hz: int
    num_samples: int
    """Samples per channel at the recording's own rate."""
    digest: str
    """Hex digest of what the audio is made of: the files' bytes, or the simulation's parameters."""
    split: AskedSplit | None = None
    """What a manifest or a data set's own split asks for; None lets the study decide."""
    events: tuple[tuple[float, float], ...] | None = None
    """Where in an anomalous take the fault is heard, in seconds, end excluded; None where nobody said."""
    read: Callable[[], Waveform] = field(repr=False, compare=False)
    """Returns (C, T) float32. Raises BadRecording for audio that cannot be used."""

    @property
    def seconds(self) -> float:
        return self.num_samples / self.sample_rate_hz


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Something that was left out, and why."""

    name: str
    reason: str

    @classmethod
    def because_of(cls, error: BadRecording, name: str) -> Self:
        """Without the advice to leave it out, which has been taken."""
        return cls(name=name, reason=str(error).removesuffix(f" {REPAIR}"))


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What a source holds, listed but not yet decoded."""

    name: str
    """Short, fit for a file name: `simulated`, or the folder's name."""
    description: str
    """One line for people; says plainly when the data is simulated."""
    recordings: tuple[Recording, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits: any recording's identity, label, condition or audio changes them, their order does not."""
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
    """How much faster it plays than it was recorded."""


@dataclass(frozen=True, kw_only=True)
class StreamedCorpus:
    """What a source holds that cannot be listed before it is read: takes come one by one."""

    name: str
    """Short, fit for a file name."""
    description: str
    fingerprint: str
    """Twelve hex digits of what is streamed: the data's revision or digest, and the options that choose from it."""
    machines: tuple[str, ...] | None = None
    """Which machines will come, where that is known beforehand."""
    takes: Callable[[], Iterator[Recording | Skipped]] = field(repr=False, compare=False)
    """Begins anew with each call; the same takes in the same order each time. A take holds its undecoded bytes."""


def resample(waveform: Waveform, from_hz: int, to_hz: int) -> Waveform:
    """(C, T) to (C, ceil(T * to_hz / from_hz)) by soxr at high quality; the same array when the rates are equal."""
    if from_hz == to_hz:
        return waveform
    import librosa  # here, because it costs about a second that a corpus at the right rate need not pay

    resampled = librosa.resample(waveform, orig_sr=from_hz, target_sr=to_hz, res_type="soxr_hq", axis=-1)
    return np.ascontiguousarray(resampled, dtype=np.float32)


def check_waveform(waveform: Waveform, name: str) -> None:
    """Raises BadRecording when (C, T) is empty, holds NaN or infinity, or has a channel that never moves."""
    if waveform.size == 0:
        raise BadRecording(f"Recording {name!r} must hold samples, but got an empty one. {REPAIR}")
    if not np.isfinite(waveform).all():
        num_bad = int(waveform.size - np.isfinite(waveform).sum())
        raise BadRecording(f"Recording {name!r} must be finite, but got {num_bad} NaN or infinite samples. {REPAIR}")
    # A dead microphone with an offset is as silent as one that holds zeros.
    silent = np.flatnonzero(waveform.max(axis=1) == waveform.min(axis=1))
    if silent.size:
        channels = ", ".join(str(channel + 1) for channel in silent)
        raise BadRecording(
            f"Recording {name!r} must have sound in each of its {len(waveform)} channels, "
            f"but got silence in channel {channels}. {REPAIR}"
        )
