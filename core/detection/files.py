"""Audio of any length and rate, read in pieces at a detector's rate, so that no file is ever held whole.

The pieces together equal, bit for bit, the audio that a study reads from the file: resampled by the same resampler,
then quantised to 16 bits by the peaks of the whole file. (Of an mp3, a sample in a thousand may be one step off.) The
audio is therefore read twice: once to check it and to find its peaks, once to use it. C channels; n samples a piece.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from core.audio_suffixes import READABLE_SUFFIXES
from core.data.audio import Waveform, quantise
from core.data.channels import Channels, heard, numbers_of
from core.data.recordings import REPAIR, BadRecording
from core.detection.requirements import AudioRequirements, check_header, check_length, num_resampled
from core.errors import UserError
from core.sources.audio_files import (
    FORMATS,
    Header,
    read_header,
    read_pieces,
)
from core.sources.take_files import check_channel_files

PIECE_SAMPLES = 2**18
"""Of all channels together, at the file's rate: bounds memory for files of any length."""
STANDARD_INPUT = ("-", "/dev/stdin")


@dataclass(frozen=True, kw_only=True, eq=False)
class AudioStream:
    """A recording that was read from start to end and found usable, and that can be read again."""

    name: str
    """As the user gave it."""
    header: Header
    microphones: tuple[int, ...]
    """The numbers of the C channels, from 1."""
    sample_rate_hz: int
    """The detector's."""
    num_samples: int
    """Per channel at that rate."""
    peaks: Waveform
    """(C, 1) of the resampled audio."""
    decode: Callable[[], Iterator[Waveform]]
    """Reads (n, C) float32 at the recording's own rate from the start."""

    @property
    def num_channels(self) -> int:
        return self.header.num_channels

    @property
    def seconds(self) -> float:
        return self.num_samples / self.sample_rate_hz

    def pieces(self) -> Iterator[Waveform]:
        """(C, n) float32 at the detector's rate, end to end. Raises BadRecording for a file that has changed."""
        num_read = 0
        for frames in _resampled(self.decode(), self.header, self.sample_rate_hz):
            num_read += len(frames)
            # The peaks are appended as one more sample, so that the step is that of the whole file.
            yield quantise(np.hstack([frames.T, self.peaks])).read(stop=-1)
        if num_read != self.num_samples:
            raise BadRecording(f"Recording {self.name!r} must stay as it is while it is read, but changed. {REPAIR}")


def open_audio(name: str, requirements: AudioRequirements, *, other_microphones: Sequence[str] = ()) -> AudioStream:
    """Reads the whole file once. Raises BadRecording for a file that a study would refuse, and for one that the
    detector cannot judge: with another number of channels, with a lower rate, or shorter than a clip.

    With files of `other_microphones` all of them are mono, and together they are the recording `name`.
    """
    names = (name, *other_microphones)
    for each in names:
        _check_name(each)
    headers = [read_header(Path(each), each) for each in names]
    if len(names) > 1:
        check_channel_files(names, headers)
    header = replace(headers[0], num_channels=sum(each.num_channels for each in headers))
    return _open(name, header, requirements, decode=partial(_read_together, names, headers))


def _read_together(names: Sequence[str], headers: Sequence[Header]) -> Iterator[Waveform]:
    """(n, C) float32 of files that agree in rate and length, from start to end."""
    piece_samples = PIECE_SAMPLES // len(names)
    files = [
        read_pieces(Path(name), name, header, piece_samples=piece_samples)
        for name, header in zip(names, headers, strict=True)
    ]
    if len(files) == 1:
        yield from files[0]
        return
    for pieces in zip_longest(*files, fillvalue=np.empty((0, 1), np.float32)):
        if len({len(piece) for piece in pieces}) > 1:
            raise BadRecording(f"Recording {names[0]!r} must be of one length in all its files, but is not. {REPAIR}")
        yield np.hstack(pieces)


def open_waveform(
    waveform: npt.ArrayLike, sample_rate_hz: int, requirements: AudioRequirements, *, name: str = "waveform"
) -> AudioStream:
    """The same of samples in memory: (C, T) or, of one channel, (T,), floating point with full scale 1.0.

    The array is not copied. UserError for an array of another kind; else raises BadRecording as `open_audio` does.
    """
    samples = np.atleast_2d(np.asarray(waveform))
    if samples.ndim != 2 or not np.issubdtype(samples.dtype, np.floating):
        raise UserError(
            f"A waveform must be an array (C, T) or (T,) of floating point with full scale 1.0, "
            f"but got {samples.dtype} of shape {np.shape(waveform)}."
        )
    if sample_rate_hz < 1:
        raise UserError(f"sample_rate_hz must be at least 1, but got {sample_rate_hz}.")
    header = Header(num_channels=len(samples), sample_rate_hz=sample_rate_hz, num_samples=samples.shape[1])
    return _open(name, header, requirements, decode=partial(_pieces_of, samples))


def _open(
    name: str, header: Header, requirements: AudioRequirements, *, decode: Callable[[], Iterator[Waveform]]
) -> AudioStream:
    if header.num_channels != requirements.num_channels and requirements.are_within(header.num_channels):
        decode = partial(_heard, name, header, decode, requirements.channels)
        header = replace(header, num_channels=requirements.num_channels)
    check_header(name, header, requirements)
    peaks = np.zeros((header.num_channels, 1), np.float32)
    num_samples = 0
    for frames in _resampled(
        _checked(name, header, requirements.microphones, decode()), header, requirements.sample_rate_hz
    ):
        num_samples += len(frames)
        peaks = np.maximum(peaks, np.abs(frames).max(axis=0, initial=0.0)[:, None])
    check_length(name, num_samples, requirements)  # again, because the header of an mp3 may promise a little too much
    if not np.isfinite(peaks).all():
        raise BadRecording(f"Recording {name!r} must be of a level that can be resampled, but is too loud. {REPAIR}")
    return AudioStream(
        name=name,
        header=header,
        microphones=requirements.microphones,
        sample_rate_hz=requirements.sample_rate_hz,
        num_samples=num_samples,
        peaks=peaks,
        decode=decode,
    )


def _heard(
    name: str, header: Header, decode: Callable[[], Iterator[Waveform]], channels: Channels | None
) -> Iterator[Waveform]:
    """(n, C) to those channels that are heard. What is mixed is checked, as a study does."""
    pieces = decode()
    if channels == "mix":
        pieces = _checked(name, header, numbers_of(channels, header.num_channels), pieces)
    for frames in pieces:
        yield heard(frames.T, channels).T


def _pieces_of(samples: npt.NDArray[Any]) -> Iterator[Waveform]:
    """(C, T) to (n, C) float32."""
    piece_samples = max(1, PIECE_SAMPLES // len(samples))
    for start in range(0, samples.shape[1], piece_samples):
        yield samples[:, start : start + piece_samples].T.astype(np.float32)


def _check_name(name: str) -> None:
    """Raises BadRecording for what cannot be read twice, and for a name that libsndfile cannot open, or would open as
    samples without a header."""
    if name in STANDARD_INPUT or (os.path.exists(name) and not os.path.isfile(name)):
        what = "standard input" if name in STANDARD_INPUT else "no plain file"
        raise BadRecording(
            f"Recording {name!r} must be a file, because it is read twice, but is {what}. Save it first."
        )
    if not os.path.lexists(name):
        raise BadRecording(f"Recording {name!r} must exist, but there is no such file or folder.")
    suffix = Path(name).suffix
    if suffix.lower() not in READABLE_SUFFIXES:
        raise BadRecording(f"Recording {name!r} must be {FORMATS}, but got {suffix or 'no suffix'!r}. {REPAIR}")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadRecording(f"Recording {name!r} must have a name in UTF-8, but has another. Rename it.") from error


def _checked(name: str, header: Header, microphones: Sequence[int], pieces: Iterable[Waveform]) -> Iterator[Waveform]:
    """The same pieces. Raises BadRecording at a value that is not finite, and at the end for constant channels."""
    lowest, highest = np.full(header.num_channels, np.inf), np.full(header.num_channels, -np.inf)
    num_read = 0
    for frames in pieces:
        finite = np.isfinite(frames).all(axis=1)
        if not finite.all():
            seconds = (num_read + int(finite.argmin())) / header.sample_rate_hz
            raise BadRecording(
                f"Recording {name!r} must be finite, but got NaN or infinity at {seconds:.4g} s. {REPAIR}"
            )
        num_read += len(frames)
        lowest, highest = np.minimum(lowest, frames.min(axis=0)), np.maximum(highest, frames.max(axis=0))
        yield frames
    check_sound(name, lowest == highest, "", microphones)


def check_sound(name: str, is_silent: Iterable[bool], where: str, microphones: Sequence[int]) -> None:
    """Raises BadRecording where one of the C channels is constant; `where` follows its number in the message."""
    silent = [number for number, channel_is_silent in zip(microphones, is_silent, strict=True) if channel_is_silent]
    if silent:
        raise BadRecording(
            f"Recording {name!r} must have sound in each of its channels, but got silence in channel "
            f"{', '.join(map(str, silent))}{where}. {REPAIR}"
        )


def _resampled(pieces: Iterable[Waveform], header: Header, rate_hz: int) -> Iterator[Waveform]:
    """(n, C) at the file's rate to (n, C) at `rate_hz`; joined, they equal `recordings.resample` of all."""
    if header.sample_rate_hz == rate_hz:
        yield from pieces
        return
    num_channels = header.num_channels
    stream = soxr.ResampleStream(header.sample_rate_hz, rate_hz, num_channels, dtype="float32", quality="soxr_hq")
    num_read = num_given = 0
    for frames in pieces:
        num_read += len(frames)
        resampled = stream.resample_chunk(frames)
        num_given += len(resampled)
        yield resampled
    rest = stream.resample_chunk(np.zeros((0, num_channels), np.float32), last=True)
    num_missing = max(0, num_resampled(num_read, header, rate_hz) - num_given)
    # soxr may end one sample early; librosa, which studies use to resample, then adds a zero.
    yield np.pad(rest, ((0, max(0, num_missing - len(rest))), (0, 0)))[:num_missing]
