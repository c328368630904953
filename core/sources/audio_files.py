"""Headers and samples of audio files, read by libsndfile, or by an installed ffmpeg where libsndfile cannot.

C channels, T samples. What ffmpeg reads has no reliable header, so it is decoded once to count its samples.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from core.audio_suffixes import FFMPEG_SUFFIXES
from core.data.audio import Waveform
from core.data.recordings import REPAIR, BadRecording, check_waveform
from core.sources.cut_short import check_not_cut_short, truncated
from core.sources.ffmpeg import decoded_by_ffmpeg

FORMATS = "wav, flac, ogg, mp3, aiff, au or opus, or m4a, aac, wma and others that ffmpeg decodes"
"""For messages."""
MP3_SLACK_SAMPLES = 4 * 1152
"""Decoders of mp3 disagree on the padding at both ends; a frame is 1152 samples."""
HEADER_VERSION = "header-1"
"""Of headers in the cache. Change it with the checks of `read_header` and with the fields of Header."""
PIECE_SAMPLES = 2**18
"""Of all channels together: what is held of a file that is read in pieces."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """The contents of one file's header."""

    num_channels: int
    sample_rate_hz: int
    num_samples: int


def read_header(path: Path, name: str) -> Header:
    """Raises BadRecording, naming `name`, for a file that cannot be read, is no audio, is empty, or is shorter than
    promised."""
    try:
        with path.open("rb") as file:
            if not is_for_ffmpeg(path):
                return _header_of(file, str(path), name)
    except OSError as error:
        raise unreadable(name, error) from error
    return _counted_header(path, name)


def header_of_bytes(content: bytes, name: str) -> Header:
    """As `read_header`, for a file in memory."""
    file = BytesIO(content)
    return _header_of(file, file, name)


def _header_of(file: BinaryIO, source: str | BinaryIO, name: str) -> Header:
    """`source` is the same file for libsndfile: its path where it has one, which is faster."""
    if file.seek(0, os.SEEK_END) == 0:
        raise _empty_file(name)
    check_not_cut_short(file, name)
    file.seek(0)
    try:
        info = soundfile.info(source)
    except soundfile.SoundFileError as error:
        raise _not_audio(name, error) from error
    if info.frames == 0:
        raise _no_samples(name)
    return Header(num_channels=info.channels, sample_rate_hz=info.samplerate, num_samples=info.frames)


def is_for_ffmpeg(path: Path) -> bool:
    """Whether libsndfile cannot decode the file, by its suffix."""
    return path.suffix.lower() in FFMPEG_SUFFIXES


def _counted_header(path: Path, name: str) -> Header:
    if path.is_file() and path.stat().st_size == 0:
        raise _empty_file(name)
    num_samples = 0
    with decoded_by_ffmpeg(path, name) as stream:
        while count := len(stream.read(PIECE_SAMPLES // stream.num_channels)):
            num_samples += count
        if num_samples == 0:
            raise _no_samples(name)
        return Header(num_channels=stream.num_channels, sample_rate_hz=stream.sample_rate_hz, num_samples=num_samples)


def read_samples(path: Path, name: str, header: Header) -> Waveform:
    """(C, T) float32. Raises BadRecording for a file that is truncated or cannot be decoded."""
    if is_for_ffmpeg(path):
        return np.ascontiguousarray(np.concatenate(list(read_pieces(path, name, header))).T)
    return _decode(str(path), name, header.num_samples - slack_samples(path))


def samples_of_bytes(content: bytes, name: str, header: Header) -> Waveform:
    """(C, T) float32 of a file in memory, checked. Raises BadRecording for a truncated or unusable one."""
    waveform = _decode(BytesIO(content), name, header.num_samples)
    check_waveform(waveform, name)
    return waveform


def read_pieces(path: Path, name: str, header: Header, *, piece_samples: int = PIECE_SAMPLES) -> Iterator[Waveform]:
    """(n, C) float32 from start to end, `piece_samples` of all channels together at a time.

    Raises BadRecording as `read_samples` does.
    """
    piece_samples, num_read = max(1, piece_samples // header.num_channels), 0
    try:
        for frames in _pieces(path, name, header, piece_samples):
            num_read += len(frames)
            yield frames
    except (soundfile.SoundFileError, OSError) as error:
        raise _undecodable(name, error) from error
    min_samples = header.num_samples - slack_samples(path)
    if num_read < min_samples:
        raise truncated(name, f"{min_samples} samples", f"{num_read}")


def _pieces(path: Path, name: str, header: Header, piece_samples: int) -> Iterator[Waveform]:
    if not is_for_ffmpeg(path):
        with soundfile.SoundFile(str(path)) as file:
            while len(frames := file.read(piece_samples, dtype="float32", always_2d=True)):
                yield frames
        return
    with decoded_by_ffmpeg(path, name) as stream:
        if (stream.num_channels, stream.sample_rate_hz) != (header.num_channels, header.sample_rate_hz):
            raise BadRecording(f"Recording {name!r} must stay as it is while it is read, but changed. {REPAIR}")
        while len(frames := stream.read(piece_samples)):
            yield frames


def slack_samples(path: Path) -> int:
    """How many samples fewer than the header promises are no error."""
    return MP3_SLACK_SAMPLES if path.suffix.lower() == ".mp3" else 0


def _decode(source: str | BinaryIO, name: str, min_samples: int) -> Waveform:
    """(C, T) float32."""
    try:
        samples, _ = soundfile.read(source, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise _undecodable(name, error) from error
    if len(samples) < min_samples:
        raise truncated(name, f"{min_samples} samples", f"{len(samples)}")
    return np.ascontiguousarray(samples.T)


def reason_of(error: Exception) -> str:
    """The error's text without the path. The message names the recording, and paths differ between machines."""
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string).rstrip(".")
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def unreadable(name: str, error: OSError) -> BadRecording:
    return BadRecording(f"Recording {name!r} must be readable, but got {reason_of(error)!r}. {REPAIR}")


def _not_audio(name: str, error: Exception) -> BadRecording:
    return BadRecording(f"Recording {name!r} must be audio, but got {reason_of(error)!r}. {REPAIR}")


def _undecodable(name: str, error: Exception) -> BadRecording:
    return BadRecording(f"Recording {name!r} must be decodable, but got {reason_of(error)!r}. {REPAIR}")


def _empty_file(name: str) -> BadRecording:
    return BadRecording(f"Recording {name!r} must hold samples, but got a file of 0 bytes. {REPAIR}")


def _no_samples(name: str) -> BadRecording:
    return BadRecording(f"Recording {name!r} must hold samples, but got an empty one. {REPAIR}")
