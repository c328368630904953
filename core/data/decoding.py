"""Decodes recordings into takes: checks them, resamples them to the study's rate, and keeps them in the store.

Without a store, a take is decoded again when it is read, and a limited number of bytes is held in memory.
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from cachetools import LRUCache

from core.data.audio import Audio, HeldAudio, Waveform, quantise
from core.data.decoding_progress import Progress, stored_bytes
from core.data.parts import id_of_whole
from core.data.recordings import (
    REPAIR,
    BadRecording,
    Corpus,
    Recording,
    Skipped,
    Take,
    check_waveform,
    long_enough,
    resample,
)
from core.data.store import Store
from core.errors import UserError

DECODING_THREADS = max(4, os.cpu_count() or 1)
"""All cores, and a few threads more where cores are few, as some wait for the disk."""
MAX_CACHED_BYTES = 256_000_000
"""Limits what is held of takes that are decoded without a store."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedCorpus:
    """The result of decoding a corpus."""

    takes: tuple[Take, ...]
    skipped: tuple[Skipped, ...] = ()
    """What could not be decoded or is too short. What the source skipped is in `Corpus.skipped`."""
    notes: tuple[str, ...] = ()
    """Printed once before the first training, such as that recordings were resampled."""


class TakeCache:
    """The takes that were decoded last, together at most MAX_CACHED_BYTES."""

    def __init__(self) -> None:
        self._takes: Any = LRUCache(MAX_CACHED_BYTES, getsizeof=lambda audio: audio.num_bytes)
        self._lock = Lock()

    def get(self, recording: Recording, sample_rate_hz: int) -> HeldAudio:
        """The take, which is decoded if it is not in memory."""
        with self._lock:
            audio: HeldAudio | None = self._takes.get(recording.digest)
        if audio is None:
            audio = quantise(decode(recording, sample_rate_hz))
            with self._lock:
                if audio.num_bytes <= self._takes.maxsize:
                    self._takes[recording.digest] = audio
        return audio


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedWhenRead:
    """The audio of a take that is not in a store."""

    recording: Recording
    sample_rate_hz: int
    cache: TakeCache
    num_channels: int
    num_samples: int

    def read(self, start: int = 0, stop: int | None = None) -> Waveform:
        return self.cache.get(self.recording, self.sample_rate_hz).read(start, stop)


def read_all(
    corpus: Corpus,
    *,
    sample_rate_hz: int,
    min_seconds: float,
    skip_bad_files: bool,
    may_upsample: bool = False,
    store: Store | None = None,
    progress: Progress | None = None,
) -> DecodedCorpus:
    """Every recording as a take, in the corpus's order, at `sample_rate_hz`. Decodes what is not in the store.

    Raises BadRecording for a take that cannot be decoded or is shorter than `min_seconds`; with `skip_bad_files` such
    takes are in `skipped`. Raises UserError as `check_headers` does, for a rate above that of a recording of
    `min_seconds` or more unless `may_upsample`, and if the store has no room.
    """
    if not may_upsample:
        check_not_upsampled(long_enough(corpus.recordings, min_seconds), sample_rate_hz)
    check_headers(corpus.recordings, min_seconds=min_seconds, skip_bad_files=skip_bad_files)
    found = [store.find(recording, sample_rate_hz) if store else None for recording in corpus.recordings]
    missing = [recording for recording, audio in zip(corpus.recordings, found, strict=True) if audio is None]
    cache = TakeCache()

    def take_of(recording: Recording, audio: Audio | None) -> Take | Skipped:
        try:
            if audio is None:
                try:
                    audio = _decoded(recording, sample_rate_hz, store, cache)
                finally:
                    advance()
            check_long_enough(recording, audio.num_samples / sample_rate_hz, min_seconds)
        except BadRecording as error:
            if not skip_bad_files:
                raise
            return Skipped.because_of(error, recording.recording_id)
        return Take(recording=recording, audio=audio)

    with _shown(progress, missing, sample_rate_hz, store) as advance, ThreadPoolExecutor(DECODING_THREADS) as pool:
        outcomes = list(pool.map(take_of, corpus.recordings, found))  # libsndfile and soxr release the GIL
    takes = tuple(outcome for outcome in outcomes if isinstance(outcome, Take))
    skipped = tuple(outcome for outcome in outcomes if isinstance(outcome, Skipped))
    if not takes and skipped:
        raise UserError(
            f"A recording must be usable, but all {len(skipped)} are left out. The first: {skipped[0].reason}"
        )
    return DecodedCorpus(takes=takes, skipped=skipped, notes=_resampling_notes(takes, sample_rate_hz))


def check_headers(recordings: Sequence[Recording], *, min_seconds: float, skip_bad_files: bool) -> None:
    """Raises UserError for recordings that differ in their number of channels.

    Raises BadRecording for one shorter than `min_seconds`, unless `skip_bad_files`. Decodes nothing.
    """
    _check_channel_counts(recordings)
    if not skip_bad_files:
        for recording in recordings:
            check_long_enough(recording, recording.seconds, min_seconds)


@contextmanager
def _shown(
    progress: Progress | None, missing: Sequence[Recording], sample_rate_hz: int, store: Store | None
) -> Iterator[Callable[[], None]]:
    """Announces what the store will hold, before anything is decoded. Yields a function to call after each take."""
    if store is None or store.is_read_only or not missing:
        yield lambda: None
        return
    num_bytes = sum(stored_bytes(recording, sample_rate_hz) for recording in missing)
    store.check_room(num_bytes)
    if progress is None:
        yield lambda: None
        return
    progress.begin(len(missing), num_bytes, store)
    try:
        yield progress.advance
    finally:
        progress.end()


def _decoded(recording: Recording, sample_rate_hz: int, store: Store | None, cache: TakeCache) -> Audio:
    """Decodes and checks a take. Without a store it is decoded again when it is read."""
    if store is not None and not store.is_read_only:
        return store.add(recording, sample_rate_hz, decode(recording, sample_rate_hz))
    held = cache.get(recording, sample_rate_hz)
    return DecodedWhenRead(
        recording=recording,
        sample_rate_hz=sample_rate_hz,
        cache=cache,
        num_channels=held.num_channels,
        num_samples=held.num_samples,
    )


def decode(recording: Recording, sample_rate_hz: int) -> Waveform:
    """(C, T) float32 at `sample_rate_hz`, checked. Raises BadRecording for an unusable recording."""
    waveform = recording.read()
    check_waveform(waveform, recording.recording_id)
    return resample(waveform, recording.sample_rate_hz, sample_rate_hz)


def check_long_enough(recording: Recording, seconds: float, min_seconds: float) -> None:
    """Raises BadRecording if `seconds` is less than `min_seconds`."""
    if seconds < min_seconds:
        raise BadRecording(
            f"Recording {recording.recording_id!r} must last at least {min_seconds:.4g} s, "
            f"but got {seconds:.4g} s. Shorter clips hear it, such as --set clips.clip_seconds="
            f"{math.floor(10 * seconds) / 10 or seconds:g}. {REPAIR}"
        )


def _check_channel_counts(recordings: Iterable[Recording]) -> None:
    one_of_each: dict[int, str] = {}
    for recording in recordings:
        one_of_each.setdefault(recording.num_channels, recording.recording_id)
    if len(one_of_each) > 1:
        found = " and ".join(f"{count} in {name!r}" for count, name in sorted(one_of_each.items()))
        raise UserError(
            f"The number of channels must be the same in every recording, but got {found}. "
            "Make every recording of a folder mono with --set data.channels=mix, or first for the first channel (in "
            "[data] of the study file), or leave out the recordings of the other kind."
        )


def check_not_upsampled(recordings: Iterable[Recording], sample_rate_hz: int) -> None:
    """Raises UserError for a rate above that of a recording's header."""
    slowest = min(recordings, key=lambda recording: recording.sample_rate_hz, default=None)
    if slowest is not None and slowest.sample_rate_hz < sample_rate_hz:
        raise UserError(
            f"sample_rate_hz must be at most the rate of every recording, but got {sample_rate_hz} where "
            f"{slowest.recording_id!r} has {slowest.sample_rate_hz}. Lower sample_rate_hz "
            "(spectrum_rate_hz, where it is given), or leave that recording out."
        )


def _resampling_notes(takes: Iterable[Take], sample_rate_hz: int) -> tuple[str, ...]:
    wholes = {id_of_whole(take.recording.recording_id): take.recording.sample_rate_hz for take in takes}
    rates = Counter(wholes.values())
    others = [(rate, count) for rate, count in sorted(rates.items(), reverse=True) if rate != sample_rate_hz]
    if not others:
        return ()
    counts = [f"{count} at {rate} Hz" for rate, count in others]
    counts[0] = counts[0].replace(" at", " recording at" if others[0][1] == 1 else " recordings at", 1)
    verb = "was" if sum(count for _, count in others) == 1 else "were"
    return (f"{' and '.join(counts)} {verb} resampled to {sample_rate_hz} Hz",)
