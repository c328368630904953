"""Recordings of equal level: the option `equal_level` of every source.

    scaled[c] = recorded[c] * RMS / rms(recorded[c] - mean(recorded[c]))

for channel c of a whole recording. No detector hears the original, so none can tell recordings apart by their loudness
or by the gain of a microphone. Where the fault is in the loudness, that hides it.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from core.data.audio import Waveform
from core.data.recordings import Corpus, Recording, Skipped, StreamedCorpus
from core.errors import UserError

EQUAL_LEVEL = "equal_level"
RMS = 0.05
"""Of full scale. Peaks may exceed full scale and are not clipped."""


def check_equal_level(value: object) -> bool:
    """UserError unless it is true or false."""
    if not isinstance(value, bool):
        raise UserError(f"data.{EQUAL_LEVEL} must be true or false, but got {value!r}.")
    return value


def with_equal_level(corpus: Corpus | StreamedCorpus) -> Corpus | StreamedCorpus:
    """The corpus with every recording scaled. Its digests and so its fingerprint differ from those of the original."""
    description = f"{corpus.description}, at equal level"
    if isinstance(corpus, Corpus):
        return replace(corpus, description=description, recordings=tuple(map(_scaled, corpus.recordings)))
    return replace(
        corpus,
        description=description,
        fingerprint=_digest(corpus.fingerprint)[: len(corpus.fingerprint)],
        takes=partial(_scaled_takes, corpus.takes),
    )


def _scaled_takes(takes: Callable[[], Iterator[Recording | Skipped]]) -> Iterator[Recording | Skipped]:
    for take in takes():
        yield _scaled(take) if isinstance(take, Recording) else take


def _scaled(recording: Recording) -> Recording:
    return replace(recording, digest=_digest(recording.digest), read=partial(_read_scaled, recording.read))


def _digest(original: str) -> str:
    return hashlib.sha256(f"{EQUAL_LEVEL} {RMS} {original}".encode()).hexdigest()[:16]


def _read_scaled(read: Callable[[], Waveform]) -> Waveform:
    """No channel is silent, because a source refuses those."""
    recorded = read()
    scaled: Waveform = (recorded * (RMS / recorded.std(axis=1, dtype=np.float64, keepdims=True))).astype(np.float32)
    return scaled
