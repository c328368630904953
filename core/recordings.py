"""What a recording is, and what every source of recordings returns.

A recording is one take of one machine: all its microphones, one label. Audio is read on demand as float32 (C, T):
C channels (microphones), T samples at the recording's own rate, full scale 1.0.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.errors import UserError

Label = Literal["normal", "anomalous", "unknown"]
Waveform = npt.NDArray[np.float32]


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
    split: Literal["train", "validation", "test"] | None = None
    """The split a manifest asks for; None lets the study decide."""
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
        """Twelve hex digits that change when any recording's identity, label or audio changes. Order does not matter."""
        rows = sorted(f"{r.recording_id}\t{r.machine}\t{r.label}\t{r.split}\t{r.digest}" for r in self.recordings)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12]
