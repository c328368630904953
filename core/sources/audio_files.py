"""The audio files of one take: what their headers promise, the bytes' digest, the samples, and what is wrong with them.

One file with all channels, or one mono file a channel, in the microphones' order. Read through libsndfile.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from core.data.audio import Waveform
from core.data.digests import Digest, digest_of
from core.data.recordings import REPAIR, AskedSplit, BadRecording, Label, Recording, check_waveform
from core.errors import UserError
from core.sources.cut_short import check_not_cut_short, truncated
from core.sources.labelled_events import LabelledEvent, merge_events

READABLE_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3"})
LOOKS_LIKE_AUDIO = READABLE_SUFFIXES | {".aac", ".aif", ".aiff", ".amr", ".au", ".m4a", ".opus", ".raw", ".w64", ".wma"}
# mp3 decoders disagree on the padding at both ends; a frame is 1152 samples.
MP3_SLACK_SAMPLES = 4 * 1152


@dataclass(frozen=True, kw_only=True)
class StatedRate:
    """What somebody wrote down of a file, to be held against its header."""

    where: str
    """For messages."""
    sample_rate_hz: int


@dataclass(frozen=True, kw_only=True)
class TakeFiles:
    """The files of one take and what is known of it without opening them."""

    root: Path
    names: tuple[str, ...]
    """Paths below `root`, POSIX style: one file, or one a channel. The first is the recording's id."""
    machine: str
    label: Label
    condition: str = ""
    split: AskedSplit | None = None
    events: tuple[LabelledEvent, ...] | None = None
    """Of the take, whichever of its files they were written for; None where nobody listed any."""
    stated_rates: tuple[StatedRate, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Header:
    """What one file promises."""

    num_channels: int
    sample_rate_hz: int
    num_samples: int


def is_within(path: Path, root: Path) -> bool:
    """Whether `path`, links resolved, lies below `root`, which must be resolved already. Link loops do no harm."""
    return Path(os.path.realpath(path)).is_relative_to(root)


def recording_of(files: TakeFiles, *, digest_of: Digest = digest_of) -> Recording:
    """Reads headers and bytes, decodes nothing. Raises BadRecording for headers that cannot be read or do not agree.

    Raises UserError where what was written about the take is not true of it: its rate, or the times of its events.
    """
    headers = [read_header(files.root / name, name) for name in files.names]
    if len(headers) > 1:
        check_channel_files(files.names, headers)
    _check_stated_rates(files, headers[0])
    digests = "".join(_digest(digest_of, files.root / name, name) for name in files.names)

    def read() -> Waveform:
        pairs = zip(files.names, headers, strict=True)
        parts = [_read_samples(files.root / name, name, header) for name, header in pairs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return Recording(
        recording_id=files.names[0],
        machine=files.machine,
        label=files.label,
        condition=files.condition,
        num_channels=sum(header.num_channels for header in headers),
        sample_rate_hz=headers[0].sample_rate_hz,
        num_samples=headers[0].num_samples,
        digest=digests if len(headers) == 1 else hashlib.sha256(digests.encode()).hexdigest()[:16],
        split=files.split,
        events=_events_of(files, headers[0]),
        read=read,
    )


def _check_stated_rates(files: TakeFiles, header: Header) -> None:
    for stated in files.stated_rates:
        if stated.sample_rate_hz != header.sample_rate_hz:
            raise UserError(
                f"{stated.where}: the sample rate must be that of the file, but got {stated.sample_rate_hz} Hz where "
                f"{files.names[0]!r} has {header.sample_rate_hz}. Find out which is right, and correct it."
            )


def _events_of(files: TakeFiles, header: Header) -> tuple[tuple[float, float], ...] | None:
    if files.events is None:
        return None
    return merge_events(files.events, name=files.names[0], seconds=header.num_samples / header.sample_rate_hz)


def read_header(path: Path, name: str) -> Header:
    """Raises BadRecording, naming `name`, for what is not audio, is empty, or is shorter than its header says."""
    try:
        with path.open("rb") as file:
            return _header_of(file, str(path), name)
    except OSError as error:
        raise _not_audio(name, error) from error


def header_of_bytes(content: bytes, name: str) -> Header:
    """As `read_header`, of a whole file in memory."""
    file = BytesIO(content)
    return _header_of(file, file, name)


def _header_of(file: BinaryIO, source: str | BinaryIO, name: str) -> Header:
    """`source` is what libsndfile opens: the same file, and by its path where there is one, which is faster."""
    if file.seek(0, os.SEEK_END) == 0:
        raise BadRecording(f"Recording {name!r} must hold samples, but got a file of 0 bytes. {REPAIR}")
    check_not_cut_short(file, name)
    file.seek(0)
    try:
        info = soundfile.info(source)
    except soundfile.SoundFileError as error:
        raise _not_audio(name, error) from error
    if info.frames == 0:
        raise BadRecording(f"Recording {name!r} must hold samples, but got an empty one. {REPAIR}")
    return Header(num_channels=info.channels, sample_rate_hz=info.samplerate, num_samples=info.frames)


def _read_samples(path: Path, name: str, header: Header) -> Waveform:
    """(C, T) float32, checked."""
    slack = MP3_SLACK_SAMPLES if path.suffix.lower() == ".mp3" else 0
    return _decode(str(path), name, header.num_samples - slack)


def samples_of_bytes(content: bytes, name: str, header: Header) -> Waveform:
    """(C, T) float32 of a whole file in memory. Raises BadRecording for what is truncated or no usable recording."""
    return _decode(BytesIO(content), name, header.num_samples)


def _decode(source: str | BinaryIO, name: str, min_samples: int) -> Waveform:
    try:
        samples, _ = soundfile.read(source, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise BadRecording(f"Recording {name!r} must be decodable, but got {_reason(error)!r}. {REPAIR}") from error
    if len(samples) < min_samples:
        raise truncated(name, f"{min_samples} samples", f"{len(samples)}")
    waveform: Waveform = np.ascontiguousarray(samples.T)
    check_waveform(waveform, name)
    return waveform


def check_channel_files(names: Sequence[str], headers: Sequence[Header]) -> None:
    """Raises BadRecording unless all files of a take are mono and agree in rate and length."""
    for name, header in zip(names, headers, strict=True):
        if header.num_channels != 1:
            raise BadRecording(
                f"Recording {name!r} must be mono where a take has one file a channel, "
                f"but got {header.num_channels} channels. {REPAIR}"
            )
        if header != headers[0]:
            raise BadRecording(
                f"Recording {name!r} must have the rate and length of {names[0]!r}, the same take, but got "
                f"{header.num_samples} samples at {header.sample_rate_hz} Hz against "
                f"{headers[0].num_samples} at {headers[0].sample_rate_hz}. {REPAIR}"
            )


def _digest(digest_of: Digest, path: Path, name: str) -> str:
    try:
        return digest_of(path)
    except OSError as error:
        raise BadRecording(f"Recording {name!r} must be readable, but got {_reason(error)!r}. {REPAIR}") from error


def _reason(error: Exception) -> str:
    """What happened, without the path: the message names the recording, and paths differ between machines."""
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string).rstrip(".")
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _not_audio(name: str, error: Exception) -> BadRecording:
    return BadRecording(f"Recording {name!r} must be audio, but got {_reason(error)!r}. {REPAIR}")
