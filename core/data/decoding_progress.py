"""The progress of filling the store, in one call or in several that are shown as one."""

import math
from collections.abc import Iterable
from typing import Protocol

from core.data.recordings import Recording
from core.data.store import BYTES_PER_SAMPLE, Store


class Progress(Protocol):
    """Displays the progress of filling the store."""

    def begin(self, num_takes: int, num_bytes: int, store: Store) -> None:
        """Is called before the first of `num_takes` is decoded. Together they need `num_bytes` in the store."""

    def advance(self) -> None:
        """Is called after each take, usable or not, from several threads."""

    def end(self) -> None: ...


class JoinedProgress:
    """Several calls of `read_all` shown as one: announces at the first of them all that the store lacks."""

    def __init__(self, whole: Progress, readings: Iterable[tuple[Recording, int]]) -> None:
        """`readings` are all recordings that will be read, each with its sample rate in Hz."""
        self._whole, self._readings = whole, readings
        self._has_begun = False

    def begin(self, num_takes: int, num_bytes: int, store: Store) -> None:  # noqa: ARG002 (those of one call)
        """UserError where the store has no room for all of it."""
        if self._has_begun:
            return
        missing = [(recording, rate) for recording, rate in self._readings if store.find(recording, rate) is None]
        all_bytes = sum(stored_bytes(recording, rate) for recording, rate in missing)
        store.check_room(all_bytes)
        self._has_begun = True
        self._whole.begin(len(missing), all_bytes, store)

    def advance(self) -> None:
        self._whole.advance()

    def end(self) -> None:
        """One call has ended; the others follow."""

    def close(self) -> None:
        """To be called when all of them have ended, well or by an error."""
        if self._has_begun:
            self._whole.end()


def stored_bytes(recording: Recording, sample_rate_hz: int) -> int:
    num_samples = math.ceil(recording.num_samples * sample_rate_hz / recording.sample_rate_hz)
    return BYTES_PER_SAMPLE * recording.num_channels * num_samples
