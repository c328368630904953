"""Decoded and resampled audio on disk, so that all trials, workers and studies decode a recording once.

Each recording at each rate is one file. Its name is a key made of the recording's digest, its number of channels, the
rate, and the version of this format. If one of these changes, the name changes, so a file is never outdated. Level,
pre-emphasis and mu-law are not applied: they are cheap, and every trial computes them.

    <store>/<2 digits>/<key>.safetensors      samples (C, T) int16, steps (C, 1) float32, memory-mapped

Files are written under another name and then renamed, so that a reader sees a complete file or none, and two writers
of one file do no harm.
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
"""Part of every key. Change it with the format or the resampler."""
DEFAULT_MAX_GB = 50.0
SUFFIX = ".safetensors"
BYTES_PER_SAMPLE = 2
WRITTEN = re.compile(
    r"([0-9a-f]{2})/(\.\d+\.\d+\.)?\1[0-9a-f]{30}\.safetensors"
    r"|streams/(\.\d+\.)?[0-9a-f]{32}\.json|(\.\d+\.)?digests\.json"
    r"|streams/takes-\w+/[\w.]+"
)
"""The files that a store writes, relative to it. Names with numbers in front are left by a process that was killed."""


@dataclass(frozen=True, kw_only=True)
class StoredAudio:
    """Audio in a store. Reads only the requested samples, and keeps no file open between two calls."""

    path: Path
    num_channels: int
    num_samples: int

    def read(self, start: int = 0, stop: int | None = None) -> Waveform:
        """Raises UserError if the file was removed meanwhile."""
        first, end, _ = slice(start, stop).indices(self.num_samples)
        if first >= end:  # safetensors raises for empty slices and for slices beyond the end
            return np.zeros((self.num_channels, 0), np.float32)
        try:
            with safe_open(self.path, framework="np") as file:
                held = HeldAudio(samples=file.get_slice("samples")[:, first:end], steps=file.get_tensor("steps"))
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"The store must keep {self.path.name} while a study uses it, but it cannot be read ({error}). "
                "Run the command again, which prepares missing files."
            ) from error
        return held.read()


class Store:
    """A folder of decoded recordings with a limited size."""

    def __init__(self, directory: Path, *, max_gb: float = DEFAULT_MAX_GB, is_read_only: bool = False) -> None:
        self.directory = directory
        self.max_bytes = int(max_gb * 1e9)
        self.is_read_only = is_read_only
        """Whether missing recordings are not added."""
        self._used_bytes: int | None = None
        self._lock = threading.Lock()

    @property
    def streams_directory(self) -> Path:
        """The folder of the indices of sets that were streamed to their end."""
        return self.directory / "streams"

    @property
    def digests_file(self) -> Path:
        """The cache of CachedDigests."""
        return self.directory / "digests.json"

    def find(self, recording: Recording, sample_rate_hz: int) -> StoredAudio | None:
        """The recording at this rate; None if it is missing or its file is damaged."""
        path = self._path(recording, sample_rate_hz)
        try:
            with safe_open(path, framework="np") as file:
                num_channels, num_samples = file.get_slice("samples").get_shape()
        except (SafetensorError, OSError, ValueError):  # the format checks that a file is as long as its header says
            return None
        return StoredAudio(path=path, num_channels=num_channels, num_samples=num_samples)

    def add(self, recording: Recording, sample_rate_hz: int, waveform: Waveform) -> StoredAudio:
        """Stores (C, T) float32. Raises UserError if the store is full or cannot be written."""
        audio = quantise(waveform)
        self._take_room(audio.num_bytes)
        path = self._path(recording, sample_rate_hz)
        scratch = path.with_name(f".{os.getpid()}.{threading.get_ident()}.{path.name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with scratch.open("wb") as file:  # save_file would choose the name, and let only the owner read the file
                file.write(save({"samples": audio.samples, "steps": audio.steps}))
                file.flush()
                os.fsync(file.fileno())  # otherwise a power failure could leave an empty file with the new name
            os.replace(scratch, path)
        except OSError as error:
            with suppress(OSError):
                scratch.unlink()
            raise self.unwritable(error) from error
        return StoredAudio(path=path, num_channels=audio.num_channels, num_samples=audio.num_samples)

    def check_room(self, num_bytes: int) -> None:
        """Raises UserError if `num_bytes` more would exceed the limit."""
        used = self.used_bytes()
        if used + num_bytes > self.max_bytes:
            raise UserError(
                f"The store must stay within {self.max_bytes / 1e9:g} GB, but {self.directory} holds "
                f"{used / 1e9:.3g} GB and this needs {num_bytes / 1e9:.3g} more. Raise --store-gb, use "
                "--no-store, or empty the store with "
                f"`python -m core.store --store {shlex.quote(str(self.directory))} --empty`."
            )

    def unwritable(self, error: Exception) -> UserError:
        """The error to raise if a file of the store cannot be written."""
        return UserError(
            f"The store must be a folder that can be written, but {self.directory} cannot: {error}. "
            "Choose another with --store, or use --no-store."
        )

    def used_bytes(self) -> int:
        """The size of all files when this method was first called, plus what this object has added since."""
        if self._used_bytes is None:
            self._used_bytes = sum(_size(path) for path in self.files())
        return self._used_bytes

    def files(self) -> Iterator[Path]:
        """All files that a store has written, without any other files in its folder."""
        for pattern in ("*", "*/*", "*/*/*"):
            for path in self.directory.glob(pattern):
                if WRITTEN.fullmatch(path.relative_to(self.directory).as_posix()) and path.is_file():
                    yield path

    def empty(self) -> int:
        """Removes all files of the store and returns their size in bytes. Raises UserError if one cannot be removed."""
        num_bytes = 0
        for path in list(self.files()):
            num_bytes += _size(path)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise UserError(
                    f"The store must be a folder that can be emptied, but {self.directory} cannot: {error}. "
                    "Ask its owner."
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
    """0 if another process has just renamed or removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
