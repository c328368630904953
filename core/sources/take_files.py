"""The files of one take as a recording: its attributes, its digest, its samples, and the checks of them.

A take is one file with all channels, or one mono file a channel, in the order of the microphones. C channels, T
samples.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from core.data.audio import Waveform
from core.data.channels import Channels, heard, num_heard, numbers_of
from core.data.digests import CachedDigests, Digest, digest_of
from core.data.recordings import REPAIR, AskedSplit, BadRecording, Label, Recording, check_waveform
from core.errors import UserError
from core.sources.audio_files import HEADER_VERSION, Header, read_header, read_samples, unreadable
from core.sources.labelled_events import LabelledEvent, merge_events

MONO_FORMAT = "mono-1"
"""Part of the digests of recordings of which not all channels are heard. Change it with the way in which they are."""


@dataclass(frozen=True, kw_only=True)
class StatedRate:
    """The rate that a manifest states, which is compared with the file's header."""

    where: str
    """The manifest's row, for messages."""
    sample_rate_hz: int


@dataclass(frozen=True, kw_only=True)
class TakeFiles:
    """The files of one take and its attributes that are known before a file is opened."""

    root: Path
    names: tuple[str, ...]
    """Relative to `root`, POSIX style: one file, or one a channel. The first is the recording's id."""
    machine: str
    label: Label
    condition: str = ""
    split: AskedSplit | None = None
    events: tuple[LabelledEvent, ...] | None = None
    """Those of all files of the take; None if no table of events is named."""
    stated_rates: tuple[StatedRate, ...] = ()


def recording_of(files: TakeFiles, *, digest_of: Digest = digest_of, channels: Channels | None = None) -> Recording:
    """Reads headers and digests; samples are decoded when the recording is read. `channels` are those that are heard.

    Raises BadRecording for headers that cannot be read or do not agree, or that lack a channel. Raises UserError if
    the stated rate or the times of events do not agree with the header.
    """
    digest = _digest_of_all(digest_of, files)
    headers = [_header(digest_of, files.root / name, name) for name in files.names]
    if len(headers) > 1:
        check_channel_files(files.names, headers)
    _check_stated_rates(files, headers[0])
    num_channels = sum(header.num_channels for header in headers)
    _check_there(files.names[0], channels, num_channels)
    if channels and num_channels > 1:
        digest = hashlib.sha256(f"{MONO_FORMAT} {channels} {digest}".encode()).hexdigest()[:16]
    return Recording(
        recording_id=files.names[0],
        machine=files.machine,
        label=files.label,
        condition=files.condition,
        num_channels=num_heard(channels, num_channels),
        sample_rate_hz=headers[0].sample_rate_hz,
        num_samples=headers[0].num_samples,
        digest=digest,
        split=files.split,
        events=_events_of(files, headers[0]),
        read=lambda: _read_take(files, headers, channels),
    )


def _check_there(name: str, channels: Channels | None, num_channels: int) -> None:
    last = numbers_of(channels, num_channels)[-1]
    if last > num_channels:
        raise BadRecording(
            f"Recording {name!r} must have channel {last}, which data.channels names, but has {num_channels}. {REPAIR}"
        )


def _read_take(files: TakeFiles, headers: Sequence[Header], channels: Channels | None) -> Waveform:
    """(C, T) float32, checked. Channels that are not read may be silent."""
    numbers = numbers_of(channels, sum(header.num_channels for header in headers))
    if len(headers) == 1:
        (name,), (header,) = files.names, headers
        waveform = read_samples(files.root / name, name, header)
        if len(numbers) < len(waveform):
            waveform = heard(waveform, numbers)
        check_waveform(waveform, name, numbers=numbers)
    else:
        waveform = np.concatenate([_read_file(files, headers, number) for number in numbers])
    return heard(waveform, "mix") if channels == "mix" and len(waveform) > 1 else waveform


def _read_file(files: TakeFiles, headers: Sequence[Header], number: int) -> Waveform:
    """The mono file of a channel."""
    name = files.names[number - 1]
    waveform = read_samples(files.root / name, name, headers[number - 1])
    check_waveform(waveform, name, numbers=(1,))
    return waveform


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


def _header(digest_of: Digest, path: Path, name: str) -> Header:
    """From the cache of digests, where there is one."""
    if not isinstance(digest_of, CachedDigests):
        return read_header(path, name)
    names = [field.name for field in fields(Header)]
    read = digest_of.header(path, lambda: asdict(read_header(path, name)), version=HEADER_VERSION, fields=names)
    return Header(**read)


def _digest_of_all(digest_of: Digest, files: TakeFiles) -> str:
    digests = [_digest(digest_of, files.root / name, name) for name in files.names]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def _digest(digest_of: Digest, path: Path, name: str) -> str:
    try:
        return digest_of(path)
    except OSError as error:
        raise unreadable(name, error) from error
