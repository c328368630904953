"""What a recording is, what every source of recordings returns, and how a whole corpus is decoded.

A recording is one take of one machine: all its microphones, one label. Audio is read on demand as float32 (C, T):
C channels (microphones), T samples at the recording's own rate, full scale 1.0.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.errors import UserError

Label = Literal["normal", "anomalous", "unknown"]
AskedSplit = Literal["train", "validation", "test", "held_out"]
"""Where a source wants a recording; `held_out` is validation or test, as the study's seed decides."""
Waveform = npt.NDArray[np.float32]

DECODING_THREADS = 4
REPAIR = "Replace it, remove it, or go on without it by --skip-bad-files."


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
            f"{r.recording_id}\t{r.machine}\t{r.label}\t{r.condition}\t{r.split}\t{r.digest}" for r in self.recordings
        )
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True, eq=False)
class Take:
    """A recording that has been decoded."""

    recording: Recording
    waveform: Waveform
    """(C, T) float32, finite, no channel silent, at the rate `read_all` was asked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """What came of decoding a corpus."""

    takes: tuple[Take, ...]
    skipped: tuple[Skipped, ...] = ()
    """What could not be used; what the source itself passed over is in `Corpus.skipped`."""
    notes: tuple[str, ...] = ()
    """Things to say once before anything is trained, such as that rates were mixed."""


@dataclass(frozen=True, kw_only=True)
class StreamedCorpus:
    """What a source holds that cannot be listed before it is read: takes come one by one."""

    name: str
    """Short, fit for a file name."""
    description: str
    fingerprint: str
    """Twelve hex digits of what is streamed: the data's revision or digest, and the options that choose from it."""
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


def read_all(corpus: Corpus, *, sample_rate_hz: int, min_seconds: float, skip_bad_files: bool) -> Reading:
    """Decodes every recording once, in the corpus's order, at `sample_rate_hz`.

    Raises BadRecording at the first take that cannot be decoded or is shorter than `min_seconds` (with
    `skip_bad_files` such takes land in `skipped`), and UserError for a rate above a recording's own and for
    recordings that differ in their number of channels.
    """
    _check_channel_counts(corpus.recordings)
    _check_not_upsampled(corpus.recordings, sample_rate_hz)

    def decode(recording: Recording) -> Take | Skipped:
        try:
            return _decode(recording, sample_rate_hz, min_seconds)
        except BadRecording as error:
            if not skip_bad_files:
                raise
            return Skipped(name=recording.recording_id, reason=str(error))

    with ThreadPoolExecutor(max_workers=DECODING_THREADS) as pool:  # libsndfile and soxr let go of the interpreter lock
        outcomes = list(pool.map(decode, corpus.recordings))
    takes = tuple(outcome for outcome in outcomes if isinstance(outcome, Take))
    skipped = tuple(outcome for outcome in outcomes if isinstance(outcome, Skipped))
    return Reading(takes=takes, skipped=skipped, notes=_resampling_notes(takes, sample_rate_hz))


def _decode(recording: Recording, sample_rate_hz: int, min_seconds: float) -> Take:
    waveform = recording.read()
    check_waveform(waveform, recording.recording_id)
    seconds = waveform.shape[1] / recording.sample_rate_hz
    if seconds < min_seconds:
        raise BadRecording(
            f"Recording {recording.recording_id!r} must last at least {min_seconds:.4g} s, but got {seconds:.4g} s. "
            f"Shorten the receptive field or the window, or: {REPAIR}"
        )
    return Take(recording=recording, waveform=resample(waveform, recording.sample_rate_hz, sample_rate_hz))


def _check_channel_counts(recordings: Iterable[Recording]) -> None:
    one_of_each: dict[int, str] = {}
    for recording in recordings:
        one_of_each.setdefault(recording.num_channels, recording.recording_id)
    if len(one_of_each) > 1:
        found = " and ".join(f"{count} in {name!r}" for count, name in sorted(one_of_each.items()))
        raise UserError(
            f"The number of channels must be the same in every recording, but got {found}. "
            "Leave out the recordings of the other kind, or study them by themselves."
        )


def _check_not_upsampled(recordings: Iterable[Recording], sample_rate_hz: int) -> None:
    slowest = min(recordings, key=lambda recording: recording.sample_rate_hz, default=None)
    if slowest is not None and slowest.sample_rate_hz < sample_rate_hz:
        raise UserError(
            f"sample_rate_hz must be at most the rate of every recording, but got {sample_rate_hz} where "
            f"{slowest.recording_id!r} has {slowest.sample_rate_hz}. Lower sample_rate_hz, or leave that recording out."
        )


def _resampling_notes(takes: Iterable[Take], sample_rate_hz: int) -> tuple[str, ...]:
    rates = Counter(take.recording.sample_rate_hz for take in takes)
    others = [(rate, count) for rate, count in sorted(rates.items(), reverse=True) if rate != sample_rate_hz]
    if not others:
        return ()
    counts = [f"{count} at {rate} Hz" for rate, count in others]
    counts[0] = counts[0].replace(" at", " recording at" if others[0][1] == 1 else " recordings at", 1)
    verb = "was" if sum(count for _, count in others) == 1 else "were"
    return (f"{' and '.join(counts)} {verb} resampled to {sample_rate_hz} Hz",)
