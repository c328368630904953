"""Audio files of any length and rate, read in pieces at a detector's rate, so that no file is ever held whole.

Together the pieces are, bit for bit, what a study makes of the file: resampled by the same resampler, then quantised to
16 bits by the peaks of the whole file. (Of an mp3, a sample in a thousand may be one step off.) That takes reading it
twice: to check it and find its peaks, and to use it. C channels; n samples a piece.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from core.data.audio import Waveform, quantise
from core.data.recordings import REPAIR, BadRecording
from core.sources.audio_files import (
    FORMATS,
    READABLE_SUFFIXES,
    Header,
    read_header,
    read_pieces,
    slack_samples,
)

PIECE_SAMPLES = 2**18
"""Of all channels together, at the file's rate: bounds memory whatever the length."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a detector asks of a file."""

    num_channels: int
    sample_rate_hz: int
    """The file's may be higher."""
    min_samples: int
    """Per channel at that rate: one clip."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LongAudio:
    """A file that was read from end to end and found usable."""

    name: str
    """As the user gave it."""
    header: Header
    sample_rate_hz: int
    """The detector's."""
    num_samples: int
    """Per channel at that rate."""
    peaks: Waveform
    """(C, 1) of the resampled audio."""

    @property
    def seconds(self) -> float:
        return self.num_samples / self.sample_rate_hz

    def pieces(self) -> Iterator[Waveform]:
        """(C, n) float32 at the detector's rate, end to end. Raises BadRecording for a file that has changed."""
        num_read = 0
        for frames in _resampled(_pieces(self.name, self.header), self.header, self.sample_rate_hz):
            num_read += len(frames)
            # The peaks go along as one more sample, so that the step is the whole file's.
            yield quantise(np.hstack([frames.T, self.peaks])).read(stop=-1)
        if num_read != self.num_samples:
            raise BadRecording(f"Recording {self.name!r} must stay as it is while it is read, but changed. {REPAIR}")


def open_audio(name: str, needs: Needs) -> LongAudio:
    """Reads the whole file once. Raises BadRecording for what a study would refuse, and for what the detector cannot
    judge: another number of channels, a lower rate, or less than one clip."""
    _check_name(name)
    header = read_header(Path(name), name)
    _check_header(name, header, needs)
    peaks = np.zeros((header.num_channels, 1), np.float32)
    num_samples = 0
    for frames in _resampled(_checked(name, header), header, needs.sample_rate_hz):
        num_samples += len(frames)
        peaks = np.maximum(peaks, np.abs(frames).max(axis=0, initial=0.0)[:, None])
    _check_length(name, num_samples, needs)  # again, because the header of an mp3 may promise a little too much
    if not np.isfinite(peaks).all():
        raise BadRecording(f"Recording {name!r} must be of a level that can be resampled, but is too loud. {REPAIR}")
    return LongAudio(
        name=name, header=header, sample_rate_hz=needs.sample_rate_hz, num_samples=num_samples, peaks=peaks
    )


def _check_name(name: str) -> None:
    """What libsndfile cannot open by its name, or would take for samples without a header."""
    suffix = Path(name).suffix
    if suffix.lower() not in READABLE_SUFFIXES:
        raise BadRecording(f"Recording {name!r} must be {FORMATS}, but got {suffix or 'no suffix'!r}. {REPAIR}")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadRecording(f"Recording {name!r} must have a name in UTF-8, but has not. Rename it.") from error


def _check_header(name: str, header: Header, needs: Needs) -> None:
    if header.num_channels != needs.num_channels:
        raise BadRecording(
            f"Recording {name!r} must have {_channels(needs.num_channels)}, as the detector's recordings had, "
            f"but got {header.num_channels}. Give one file with the same microphones in the same order."
        )
    if header.sample_rate_hz < needs.sample_rate_hz:
        raise BadRecording(
            f"Recording {name!r} must have a rate of at least {needs.sample_rate_hz} Hz, the detector's, "
            f"but got {header.sample_rate_hz}. Record at a higher rate, or train a detector for this one."
        )
    most_samples = header.num_samples + slack_samples(Path(name))
    _check_length(name, _num_resampled(most_samples, header, needs.sample_rate_hz), needs)


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def _check_length(name: str, num_samples: int, needs: Needs) -> None:
    if num_samples < needs.min_samples:
        raise BadRecording(
            f"Recording {name!r} must last at least {needs.min_samples / needs.sample_rate_hz:.4g} s, one clip of the "
            f"detector's, but got {num_samples / needs.sample_rate_hz:.4g} s. Record for longer."
        )


def _num_resampled(num_samples: int, header: Header, rate_hz: int) -> int:
    """The next whole sample, as `recordings.resample` has it."""
    return -(-num_samples * rate_hz // header.sample_rate_hz)


def _pieces(name: str, header: Header) -> Iterator[Waveform]:
    """(n, C) float32 at the file's rate."""
    return read_pieces(Path(name), name, header, piece_samples=PIECE_SAMPLES)


def _checked(name: str, header: Header) -> Iterator[Waveform]:
    """The same. Raises BadRecording at what is not finite, and at the end for channels that never moved."""
    lowest, highest = np.full(header.num_channels, np.inf), np.full(header.num_channels, -np.inf)
    num_read = 0
    for frames in _pieces(name, header):
        finite = np.isfinite(frames).all(axis=1)
        if not finite.all():
            seconds = (num_read + int(finite.argmin())) / header.sample_rate_hz
            raise BadRecording(
                f"Recording {name!r} must be finite, but got NaN or infinity at {seconds:.4g} s. {REPAIR}"
            )
        num_read += len(frames)
        lowest, highest = np.minimum(lowest, frames.min(axis=0)), np.maximum(highest, frames.max(axis=0))
        yield frames
    check_sound(name, lowest == highest, "")


def check_sound(name: str, is_silent: Iterable[bool], where: str) -> None:
    """Raises BadRecording where one of the C channels does not move; `where` is said after its number."""
    silent = [index + 1 for index, channel_is_silent in enumerate(is_silent) if channel_is_silent]
    if silent:
        raise BadRecording(
            f"Recording {name!r} must have sound in each of its channels, but got silence in channel "
            f"{', '.join(map(str, silent))}{where}. {REPAIR}"
        )


def _resampled(pieces: Iterable[Waveform], header: Header, rate_hz: int) -> Iterator[Waveform]:
    """(n, C) at the file's rate to (n, C) at `rate_hz`: together what `recordings.resample` makes of them together."""
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
    num_missing = max(0, _num_resampled(num_read, header, rate_hz) - num_given)
    # soxr may end one sample early, and librosa, which studies resample by, adds a zero.
    yield np.pad(rest, ((0, max(0, num_missing - len(rest))), (0, 0)))[:num_missing]
