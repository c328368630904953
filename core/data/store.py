"""Decoded and resampled audio on disk, so that fifty trials, all workers and all studies decode a recording once.

One file a recording, named by a key of everything that made it: the digest of its bytes, its channels, the rate it was
brought to, and the version of this format. Where any of these differ it is another file, so nothing is ever stale.
Level, pre-emphasis and mu-law are no part of it: they are cheap, and done anew by every trial.

    <store>/<2 digits>/<key>.safetensors      samples (C, T) int16, steps (C, 1) float32, mapped and not loaded

Files are written under another name and renamed: a reader sees a whole one or none, and two writers do no harm.
"""

import hashlib
import os
import re
import shlex
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from core.data.audio import HeldAudio, Waveform, quantise
from core.data.recordings import Recording
from core.errors import UserError

FORMAT = "audio-1"
"""Part of every key: a change of the format or of the resampler needs another one."""
DEFAULT_MAX_GB = 50.0
SUFFIX = ".safetensors"
BYTES_PER_SAMPLE = 2
WRITTEN = re.compile(
    r"([0-9a-f]{2})/(\.\d+\.\d+\.)?\1[0-9a-f]{30}\.safetensors"
    r"|streams/(\.\d+\.)?[0-9a-f]{32}\.json|(\.\d+\.)?digests\.json"
    r"|streams/takes-\w+/[\w.]+"
)
"""Names below a store of what is written by it; those with numbers in front were left by a process that was killed."""


@dataclass(frozen=True, kw_only=True)
class StoredAudio:
    """Audio in a store. Only what is asked for is read; nothing is kept open between two readings."""

    path: Path
    num_channels: int
    num_samples: int

    def read(self, start: int = 0, stop: int | None = None) -> Waveform:
        """UserError where somebody has taken the file away meanwhile."""
        first, end, _ = slice(start, stop).indices(self.num_samples)
        if first >= end:  # safetensors has its own opinion on empty slices, and on those beyond the end
            return np.zeros((self.num_channels, 0), np.float32)
        try:
            with safe_open(self.path, framework="np") as file:
                held = HeldAudio(samples=file.get_slice("samples")[:, first:end], steps=file.get_tensor("steps"))
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"The store must keep {self.path.name} while a study uses it, but it cannot be read ({error}). "
                "Run the command again: what is missing is prepared anew."
            ) from error
        return held.read()


class Store:
    """A folder of decoded recordings with a limit to its size."""

    def __init__(self, directory: Path, *, max_gb: float = DEFAULT_MAX_GB, is_read_only: bool = False) -> None:
        self.directory = directory
        self.max_bytes = int(max_gb * 1e9)
        self.is_read_only = is_read_only
        """Whether what is missing stays missing."""
        self._used_bytes: int | None = None
        self._lock = threading.Lock()

    @property
    def streams_directory(self) -> Path:
        """What is known of sets that were streamed to their end."""
        return self.directory / "streams"

    @property
    def digests_file(self) -> Path:
        """What is known of the digests of files."""
        return self.directory / "digests.json"

    def find(self, recording: Recording, sample_rate_hz: int) -> StoredAudio | None:
        """The recording at this rate; None where it is not there or its file is damaged."""
        path = self._path(recording, sample_rate_hz)
        try:
            with safe_open(path, framework="np") as file:
                num_channels, num_samples = file.get_slice("samples").get_shape()
        except (SafetensorError, OSError, ValueError):  # the format checks that a file is as long as its header says
            return None
        return StoredAudio(path=path, num_channels=num_channels, num_samples=num_samples)

    def add(self, recording: Recording, sample_rate_hz: int, waveform: Waveform) -> StoredAudio:
        """Keeps (C, T) float32. UserError where the store is full or cannot be written."""
        audio = quantise(waveform)
        self._take_room(audio.num_bytes)
        path = self._path(recording, sample_rate_hz)
        scratch = path.with_name(f".{os.getpid()}.{threading.get_ident()}.{path.name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with scratch.open("wb") as file:  # save_file would use a name of its own, and let nobody else read the file
                file.write(save({"samples": audio.samples, "steps": audio.steps}))
                file.flush()
                os.fsync(file.fileno())  # or a power cut could leave the new name with nothing in it
            os.replace(scratch, path)
        except OSError as error:
            with suppress(OSError):
                scratch.unlink()
            raise self.unwritable(error) from error
        return StoredAudio(path=path, num_channels=audio.num_channels, num_samples=audio.num_samples)

    def check_room(self, num_bytes: int) -> None:
        """UserError where so many bytes more would exceed the limit."""
        used = self.used_bytes()
        if used + num_bytes > self.max_bytes:
            raise UserError(
                f"The store must stay within {self.max_bytes / 1e9:g} GB, but {self.directory} holds "
                f"{used / 1e9:.3g} GB and this needs {num_bytes / 1e9:.3g} more. Raise --store-gb, do without by "
                f"--no-store, or empty it by `python -m core.store --store {shlex.quote(str(self.directory))} --empty`."
            )

    def unwritable(self, error: Exception) -> UserError:
        """For whoever could not write what belongs into the store."""
        return UserError(
            f"The store must be a folder that can be written, but {self.directory} cannot: {error}. "
            "Name another with --store, or do without by --no-store."
        )

    def used_bytes(self) -> int:
        """Bytes of all that is kept, as they were when this object first looked and with what it has added since."""
        if self._used_bytes is None:
            self._used_bytes = sum(_size(path) for path in self.files())
        return self._used_bytes

    def files(self) -> Iterator[Path]:
        """Everything that the store has written, and nothing else that may lie in its folder."""
        for pattern in ("*", "*/*", "*/*/*"):
            for path in self.directory.glob(pattern):
                if WRITTEN.fullmatch(path.relative_to(self.directory).as_posix()) and path.is_file():
                    yield path

    def empty(self) -> int:
        """Removes all that the store has written, and says how many bytes that were. UserError where it must not."""
        num_bytes = 0
        for path in list(self.files()):
            num_bytes += _size(path)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise UserError(
                    f"The store must be a folder that can be emptied, but {self.directory} cannot: {error}. "
                    "Ask whoever owns it."
                ) from error
        self._used_bytes = None
        return num_bytes

    def _take_room(self, num_bytes: int) -> None:
        with self._lock:
            self.check_room(num_bytes)
            self._used_bytes = self.used_bytes() + num_bytes

    def _path(self, recording: Recording, sample_rate_hz: int) -> Path:
        made_of = f"{FORMAT}\t{recording.digest}\t{recording.num_channels}\t{sample_rate_hz}"
        key = hashlib.sha256(made_of.encode()).hexdigest()[:32]
        return self.directory / key[:2] / f"{key}{SUFFIX}"


def _size(path: Path) -> int:
    """0 where another process has just renamed or removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
