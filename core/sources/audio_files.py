"""The audio files of one take: what their headers promise, the bytes' digest, the samples, and what is wrong with them.

One file with all channels, or one mono file a channel, in the microphones' order. Read through libsndfile.
"""

import hashlib
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import soundfile

from core.recordings import REPAIR, BadRecording, Label, Recording, Waveform, check_waveform

READABLE_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3"})
LOOKS_LIKE_AUDIO = READABLE_SUFFIXES | {".aac", ".aif", ".aiff", ".amr", ".au", ".m4a", ".opus", ".raw", ".w64", ".wma"}
# A program that writes a WAV into a pipe cannot know the length and puts (nearly) the largest number there.
UNKNOWN_WAV_LENGTH = 0x7FFF0000
# mp3 decoders disagree on the padding at both ends; a frame is 1152 samples.
MP3_SLACK_SAMPLES = 4 * 1152


@dataclass(frozen=True, kw_only=True)
class TakeFiles:
    """The files of one take and what is known of it without opening them."""

    root: Path
    names: tuple[str, ...]
    """Paths below `root`, POSIX style: one file, or one a channel. The first is the recording's id."""
    machine: str
    label: Label
    condition: str = ""
    split: Literal["train", "validation", "test"] | None = None


@dataclass(frozen=True, kw_only=True)
class Header:
    """What one file promises."""

    num_channels: int
    sample_rate_hz: int
    num_samples: int


def is_within(path: Path, root: Path) -> bool:
    """Whether `path`, links resolved, lies below `root`, which must be resolved already. Link loops do no harm."""
    return Path(os.path.realpath(path)).is_relative_to(root)


def recording_of(files: TakeFiles) -> Recording:
    """Reads headers and bytes, decodes nothing. Raises BadRecording for headers that cannot be read or do not agree."""
    headers = [read_header(files.root / name, name) for name in files.names]
    if len(headers) > 1:
        check_channel_files(files.names, headers)
    digests = "".join(_digest(files.root / name, name) for name in files.names)

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
        read=read,
    )


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
    _check_not_cut_short(file, name)
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
        raise _truncated(name, f"{min_samples} samples", f"{len(samples)}")
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


def _check_not_cut_short(file: BinaryIO, name: str) -> None:
    """libsndfile shortens a WAV or Ogg file to what is there and says nothing, so their own marks are looked at."""
    num_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic = file.read(4)
    if magic == b"RIFF":
        promised = _promised_wav_bytes(file)
        there = max(0, num_bytes - file.tell())  # it may have searched beyond the end
        if there < promised < UNKNOWN_WAV_LENGTH:
            raise _truncated(name, f"{promised} bytes of samples", f"{there}")
    if magic == b"OggS" and not _ends_with_last_ogg_page(file, num_bytes):
        raise _truncated(name, "a last page", "an end in the middle")


def _promised_wav_bytes(file: BinaryIO) -> int:
    """The length in the header of the `data` chunk, with `file` left at its first sample; 0 where there is none."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        chunk, length = struct.unpack("<4sI", head)
        if chunk == b"data":
            return int(length)
        file.seek(length + length % 2, os.SEEK_CUR)
    return 0


def _ends_with_last_ogg_page(file: BinaryIO, num_bytes: int) -> bool:
    """Whether the last page is whole and carries the end-of-stream flag (RFC 3533, section 6)."""
    largest_page_bytes = 27 + 255 + 255 * 255
    file.seek(max(0, num_bytes - largest_page_bytes))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return False
    body_bytes = sum(page[27 : 27 + page[26]])
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + body_bytes


def _digest(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise BadRecording(f"Recording {name!r} must be readable, but got {_reason(error)!r}. {REPAIR}") from error


def _reason(error: Exception) -> str:
    """What happened, without the path: the message names the recording, and paths differ between machines."""
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string).rstrip(".")
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _not_audio(name: str, error: Exception) -> BadRecording:
    return BadRecording(f"Recording {name!r} must be audio, but got {_reason(error)!r}. {REPAIR}")


def _truncated(name: str, promised: str, found: str) -> BadRecording:
    return BadRecording(f"Recording {name!r} is truncated: it must hold {promised}, but got {found}. {REPAIR}")
