"""Assembles rows of single microphones into takes with all microphones.

The rows of a take may be far apart, for example all rows of the first microphone before those of the second. So rows
wait on disk for the rest of their take. In memory there are about 200 bytes a row, and the wav files of one take.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np

from core.data.audio import Waveform
from core.data.recordings import BadRecording, Recording, Skipped
from core.errors import UserError
from core.sources.audio_files import Header, header_of_bytes, samples_of_bytes
from core.sources.hub.archive_rows import Split
from core.sources.take_files import check_channel_files
from core.sources.toyadmos.names import ToyAdmosName


@dataclass(frozen=True, kw_only=True, eq=False)
class Microphone:
    """One microphone's recording of one take."""

    name: ToyAdmosName
    where: str
    """Row and archive, for messages."""
    split: Split
    wav: bytes | Path
    """The file's bytes, or the file in which they wait."""


@dataclass(kw_only=True)
class Pending:
    """A take with missing microphones."""

    split: Split
    microphones: dict[int, Microphone] = field(default_factory=dict)
    is_given_up: bool = False
    """One of its rows was skipped."""


class TakeAssembler:
    """Receives rows one by one, and returns a recording when a take is complete."""

    def __init__(self, microphones: tuple[int, ...], *, scratch: Path) -> None:
        self._microphones = microphones
        self._scratch = scratch
        self._numbers = count()
        self._seen: set[bytes] = set()
        self._pending: dict[str, Pending] = {}

    def add(self, microphone: Microphone) -> Recording | Skipped | None:
        """None while the take waits for other rows or is given up. Of two rows with one name the first is used."""
        take_id, channel = microphone.name.take_id, microphone.name.channel
        # Eight bytes are enough: in a million rows, two are equal by chance in one of 30 million data sets.
        identity = hashlib.blake2b(f"{take_id} {channel}".encode(), digest_size=8).digest()
        if identity in self._seen:
            reason = f"Row {microphone.where!r} repeats a row before it: the same take and microphone"
            return Skipped(name=microphone.where, reason=reason)
        self._seen.add(identity)
        pending = self._pending.setdefault(take_id, Pending(split=microphone.split))
        if pending.is_given_up:
            return None
        outcome = self._join(pending, microphone)
        if isinstance(outcome, Recording):
            del self._pending[take_id]
        elif isinstance(outcome, Skipped):
            self._give_up(pending)
        return outcome

    def finish(self) -> Iterator[Skipped]:
        """The takes that are still incomplete."""
        for take_id, pending in self._pending.items():
            missing = [str(channel) for channel in self._microphones if channel not in pending.microphones]
            if not pending.is_given_up:
                plural = "s" if len(missing) > 1 else ""
                reason = f"Take {take_id!r} is incomplete: microphone{plural} {', '.join(missing)} did not arrive"
                yield Skipped(name=take_id, reason=reason)

    def _join(self, pending: Pending, microphone: Microphone) -> Recording | Skipped | None:
        if microphone.split != pending.split:
            first = next(iter(pending.microphones.values())).where
            reason = f"Take {microphone.name.take_id!r} is in two splits: {first!r} and {microphone.where!r}"
            return Skipped(name=microphone.where, reason=reason)
        pending.microphones[microphone.name.channel] = microphone
        try:
            if len(pending.microphones) == len(self._microphones):
                return _recording(self._wavs(pending), microphone)
            header_of_bytes(_bytes_of(microphone.wav), microphone.where)  # so that a bad row is found at once
        except BadRecording as error:
            return Skipped.because_of(error, microphone.where)
        pending.microphones[microphone.name.channel] = self._put_down(microphone)
        return None

    def _put_down(self, microphone: Microphone) -> Microphone:
        path = self._scratch / f"{next(self._numbers):08d}.wav"  # a key is never used as a file name
        try:
            path.write_bytes(_bytes_of(microphone.wav))
        except OSError as error:
            raise UserError(
                "Rows that wait for the other microphones of their take must fit on the disk, but got "
                f"{error.strerror!r}. Free space in the folder of temporary files, or set data.microphones to one."
            ) from error
        return Microphone(name=microphone.name, where=microphone.where, split=microphone.split, wav=path)

    def _wavs(self, pending: Pending) -> dict[str, bytes]:
        """The bytes of all microphones' wav files in their order, by row. Removes the files on disk."""
        ordered = [pending.microphones[channel] for channel in self._microphones]
        wavs = {microphone.where: _bytes_of(microphone.wav) for microphone in ordered}
        self._give_up(pending)
        return wavs

    def _give_up(self, pending: Pending) -> None:
        for microphone in pending.microphones.values():
            if isinstance(microphone.wav, Path):
                microphone.wav.unlink()
        pending.microphones.clear()
        pending.is_given_up = True


def _bytes_of(wav: bytes | Path) -> bytes:
    return wav.read_bytes() if isinstance(wav, Path) else wav


def _recording(wavs: Mapping[str, bytes], microphone: Microphone) -> Recording:
    """Raises BadRecording for headers that cannot be read or do not agree."""
    headers = {where: header_of_bytes(wav, where) for where, wav in wavs.items()}
    if len(headers) > 1:
        check_channel_files(tuple(headers), tuple(headers.values()))
    digests = [hashlib.sha256(wav).hexdigest()[:16] for wav in wavs.values()]
    first = next(iter(headers.values()))

    def read() -> Waveform:
        return _samples(wavs, headers)

    return Recording(
        recording_id=microphone.name.take_id,
        machine=microphone.name.car,
        label=microphone.name.label,
        condition=microphone.name.meaning,
        num_channels=sum(header.num_channels for header in headers.values()),
        sample_rate_hz=first.sample_rate_hz,
        num_samples=first.num_samples,
        digest=digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()[:16],
        split=microphone.split,
        read=read,
    )


def _samples(wavs: Mapping[str, bytes], headers: Mapping[str, Header]) -> Waveform:
    parts = [samples_of_bytes(wav, where, headers[where]) for where, wav in wavs.items()]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
