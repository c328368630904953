"""Takes of a streamed corpus in the order of their arrival, decoded and checked, or read from the store.

When a stream was read to its end with a store, an index of its takes is written into the store. From then on the takes
are read from the store in the same order. One process at a time fills a store; other processes wait. Bad rows are
skipped, unless there are too many.
"""

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from core.data.audio import Audio, Waveform, quantise
from core.data.decoding import check_long_enough, decode
from core.data.recordings import BadRecording, Recording, Skipped, StreamedCorpus, Take
from core.data.store import FORMAT, Store
from core.errors import UserError

MAX_BAD_SHARE, FEW_BAD_ROWS = 0.05, 10
"""A stream with more bad rows than FEW_BAD_ROWS, and a larger share than MAX_BAD_SHARE, is refused."""

Wanted = Callable[[Recording], bool]


def takes_of(
    corpus: StreamedCorpus,
    *,
    sample_rate_hz: int,
    min_seconds: float,
    store: Store | None = None,
    is_wanted: Wanted = lambda _: True,
) -> Generator[Take | Skipped, None, None]:
    """The takes for which `is_wanted` is true, and what was skipped. Without a store, a take holds its audio in memory.

    Raises UserError for a stream with too many bad rows, for a rate above the recordings' own, and the stream's errors.
    """
    if store is None:
        yield from _checked(_decoded(corpus, sample_rate_hz, None, is_wanted), sample_rate_hz, min_seconds)
        return
    index = store.streams_directory / f"{_key(corpus, sample_rate_hz)}.json"
    with _alone(index, store):
        known = _read_index(index, store, sample_rate_hz)
        if known is None:
            arrivals = _indexed(corpus, sample_rate_hz, store, index)
            yield from _checked(arrivals, sample_rate_hz, min_seconds)
            return
    yield from _checked(iter(known), sample_rate_hz, min_seconds)


Arrival = tuple[Recording, Audio] | Skipped


@contextmanager
def _alone(index: Path, store: Store) -> Iterator[None]:
    """Holds the lock of a stream, so that no other process fills the store with it."""
    try:
        index.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(index.with_suffix(".lock")).acquire()
    except OSError as error:
        raise store.unwritable(error) from error
    with lock:
        yield


def _checked(arrivals: Iterator[Arrival], sample_rate_hz: int, min_seconds: float) -> Iterator[Take | Skipped]:
    """Usable takes, all with the number of channels of the first, and the others as skipped."""
    num_bad = 0
    num_channels: int | None = None
    for num_rows, arrival in enumerate(arrivals, start=1):
        outcome = (
            arrival if isinstance(arrival, Skipped) else _take(*arrival, sample_rate_hz, min_seconds, num_channels)
        )
        if isinstance(outcome, Skipped):
            num_bad += 1
            _check_few(num_bad, num_rows, outcome)
        else:
            num_channels = outcome.audio.num_channels
        yield outcome


def _take(
    recording: Recording, audio: Audio, sample_rate_hz: int, min_seconds: float, num_channels: int | None
) -> Take | Skipped:
    try:
        check_long_enough(recording, audio.num_samples / sample_rate_hz, min_seconds)
        if num_channels not in (None, audio.num_channels):
            raise BadRecording(
                f"Recording {recording.recording_id!r} must have {num_channels} channels as those before it, "
                f"but got {audio.num_channels}."
            )
    except BadRecording as error:
        return Skipped.because_of(error, recording.recording_id)
    return Take(
        recording=replace(recording, read=_no_encoded_audio), audio=audio
    )  # otherwise the encoded bytes would stay in memory


def _check_few(num_bad: int, num_rows: int, latest: Skipped) -> None:
    if num_bad > FEW_BAD_ROWS and num_bad > MAX_BAD_SHARE * num_rows:
        raise UserError(
            f"A stream must have at most {MAX_BAD_SHARE:.0%} bad rows, but {num_bad} of {num_rows} were, the last: "
            f"{latest.name}: {latest.reason} Repair the data, or leave that part out."
        )


def _decoded(corpus: StreamedCorpus, sample_rate_hz: int, store: Store | None, is_wanted: Wanted) -> Iterator[Arrival]:
    for arrival in corpus.takes():
        if isinstance(arrival, Skipped):
            yield arrival
        elif is_wanted(arrival):
            try:
                yield arrival, _audio(arrival, sample_rate_hz, store)
            except BadRecording as error:
                yield Skipped.because_of(error, arrival.recording_id)


def _audio(recording: Recording, sample_rate_hz: int, store: Store | None) -> Audio:
    if recording.sample_rate_hz < sample_rate_hz:
        raise UserError(
            f"sample_rate_hz must be at most the rate of every recording, but got {sample_rate_hz} where "
            f"{recording.recording_id!r} has {recording.sample_rate_hz}. Lower sample_rate_hz "
            "(spectrum_rate_hz, where it is given)."
        )
    if store is None:
        return quantise(decode(recording, sample_rate_hz))
    stored = store.find(recording, sample_rate_hz)
    return stored or store.add(recording, sample_rate_hz, decode(recording, sample_rate_hz))


def _indexed(corpus: StreamedCorpus, sample_rate_hz: int, store: Store, index: Path) -> Iterator[Arrival]:
    """The arrivals of the stream. Writes the index at its end."""
    rows: list[dict[str, Any]] = []
    for arrival in _decoded(corpus, sample_rate_hz, store, lambda _: True):
        rows.append(_row(arrival if isinstance(arrival, Skipped) else arrival[0]))
        yield arrival
    scratch = index.with_name(f".{os.getpid()}.{index.name}")
    try:
        scratch.write_text(json.dumps(rows), encoding="utf-8")
        os.replace(scratch, index)
    except OSError as error:
        raise store.unwritable(error) from error


def _row(item: Recording | Skipped) -> dict[str, Any]:
    return {f.name: getattr(item, f.name) for f in fields(item) if f.name != "read"}


def _read_index(index: Path, store: Store, sample_rate_hz: int) -> list[Arrival] | None:
    """The arrivals that the index lists; None without an index, or if one of its takes is not in the store."""
    try:
        rows = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # missing or damaged: the stream is read again
        return None
    arrivals: list[Arrival] = []
    for row in rows:
        if "reason" in row:
            arrivals.append(Skipped(**row))
            continue
        recording = Recording(**{**row, "events": _tuples(row["events"])}, read=_no_encoded_audio)
        audio = store.find(recording, sample_rate_hz)
        if audio is None:
            return None
        arrivals.append((recording, audio))
    return arrivals


def _tuples(events: list[list[float]] | None) -> tuple[tuple[float, float], ...] | None:
    return None if events is None else tuple((start, end) for start, end in events)


def _no_encoded_audio() -> Waveform:
    raise AssertionError("a streamed take is read through its audio")


def _key(corpus: StreamedCorpus, sample_rate_hz: int) -> str:
    made_of = f"{FORMAT}\t{corpus.fingerprint}\t{sample_rate_hz}"
    return hashlib.sha256(made_of.encode()).hexdigest()[:32]
