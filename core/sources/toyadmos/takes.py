"""Converts the listed files of a ToyADMOS tree to recordings, and checks them.

A take with contradicting copies, missing microphones or files that do not fit together is skipped with the reason. A
file that cannot be read raises BadRecording, unless bad files are skipped.
"""

import filecmp
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.data.digests import Digest
from core.data.recordings import REPAIR, BadRecording, Recording, Skipped
from core.sources.audio_files import read_header
from core.sources.take_files import TakeFiles, recording_of
from core.sources.toyadmos.tree import ListedTake


@dataclass(frozen=True, kw_only=True)
class SingleTake:
    """A take with one file for each of its microphones."""

    listed: ListedTake
    files: Mapping[int, str]
    """Names relative to the tree, by microphone."""


@dataclass(frozen=True, kw_only=True)
class OpenedTake:
    """A take whose files have readable headers that agree."""

    files: TakeFiles
    """One mono file a channel, in the order of the microphones' numbers."""
    recording: Recording


def without_doubles(
    takes: Iterable[ListedTake], root: Path, *, skip_bad_files: bool
) -> tuple[list[SingleTake], list[Skipped]]:
    """Uses the first of equal files. Skips a take with two files of one microphone that differ."""
    single, skipped = [], []
    for take in takes:
        copies = [(names[0], name) for names in take.files.values() for name in names[1:]]
        try:
            different = [(first, name) for first, name in copies if not _is_same(root, first, name)]
        except BadRecording as error:
            if not skip_bad_files:
                raise
            skipped.append(_left_out(take, error))
            continue
        if different:
            first, name = different[0]
            reason = f"take {take.take_id!r} has two different files of one microphone, {first!r} and {name!r}"
            skipped.append(Skipped(name=take.take_id, reason=reason))
            continue
        skipped += [Skipped(name=name, reason=f"{name!r} is a copy of {first!r}") for first, name in copies]
        single.append(SingleTake(listed=take, files={number: names[0] for number, names in take.files.items()}))
    return single, skipped


def _is_same(root: Path, first: str, second: str) -> bool:
    try:
        return filecmp.cmp(root / first, root / second, shallow=False)
    except OSError as error:
        raise BadRecording(
            f"Recordings {first!r} and {second!r} must be readable, but got {error.strerror!r}. {REPAIR}"
        ) from error


def complete(takes: Iterable[SingleTake], microphones: Sequence[int]) -> tuple[list[SingleTake], list[Skipped]]:
    """The takes that have all of the microphones, and the other takes as skipped."""
    whole, skipped = [], []
    for take in takes:
        missing = set(microphones).difference(take.files)
        if missing:
            name = take.listed.take_id
            skipped.append(Skipped(name=name, reason=f"take {name!r} lacks microphone {listing(missing)}"))
        else:
            whole.append(take)
    return whole, skipped


def open_takes(
    takes: Iterable[SingleTake], microphones: Sequence[int], root: Path, *, skip_bad_files: bool, digest_of: Digest
) -> tuple[list[OpenedTake], list[Skipped]]:
    """Reads headers and digests. Skips takes whose files are not mono, or differ in rate or length."""
    opened, skipped = [], []
    for take in takes:
        files = _take_files(take.listed, [take.files[number] for number in microphones], root)
        try:
            recording = _mono_files(files, digest_of)
        except BadRecording as error:
            if not skip_bad_files:
                for name in files.names:
                    read_header(root / name, name)  # raises if one file is bad; otherwise the files do not fit together
            skipped.append(_left_out(take.listed, error))
            continue
        opened.append(OpenedTake(files=files, recording=replace(recording, recording_id=take.listed.take_id)))
    return opened, skipped


def _take_files(take: ListedTake, names: Sequence[str], root: Path) -> TakeFiles:
    return TakeFiles(root=root, names=tuple(names), machine=take.machine, label=take.label, condition=take.condition)


def _mono_files(files: TakeFiles, digest_of: Digest) -> Recording:
    recording = recording_of(files, digest_of=digest_of)
    if recording.num_channels != len(files.names):  # recording_of accepts any number of channels in a single file
        raise BadRecording(
            f"Recording {files.names[0]!r} must be mono, but got {recording.num_channels} channels. {REPAIR}"
        )
    return recording


def _left_out(take: ListedTake, error: BadRecording) -> Skipped:
    """The error as skipped, without the repair."""
    return Skipped.because_of(error, take.take_id)


def listing(numbers: Iterable[int]) -> str:
    """`1, 2, 4`, for messages."""
    return ", ".join(str(number) for number in sorted(set(numbers)))
