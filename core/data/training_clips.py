"""The clips from which a training step draws its windows.

Only these clips are in memory. From a set of up to POOL_CLIPS clips, every step draws from all of them. The clips of a
larger set are put in an endless order, and step s draws from the pool of clips s .. s + POOL_CLIPS - 1, so that every
step adds one clip and drops one:

    step 0      [ c0 c1 c2 ... c63 ] c64 ...
    step 1        c0 [ c1 c2 ... c64 ] c65 ...

The pool depends only on the step. So a trial resumes without further state, and training on a stream begins as soon as
the first pool has arrived.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from core.data.audio import Waveform
from core.data.clips import Clip

Measurement = TypeVar("Measurement")

POOL_CLIPS = 64
MAX_MEASURED = 16_384
"""The number of clips whose measurements are kept from trial to trial."""


class ClipOrder(Protocol):
    """The order of the clips of one trial."""

    def all_of(self, most: int) -> Sequence[Clip] | None:
        """All clips in a fixed order, or None if there are more than `most`. Waits for them to arrive."""
        ...

    def at(self, position: int) -> Clip:
        """The clip at a position of the endless order, from 0. Waits for it to arrive."""
        ...


class TrainingClips(Protocol):
    """The training clips of a study."""

    def order(self, seed: int) -> ClipOrder:
        """The order of one trial."""
        ...


@dataclass(frozen=True, eq=False)
class ListedOrder:
    """The order of a known set. Every pass has another order, by the seed."""

    clips: Sequence[Clip]
    seed: int
    first_pass_as_listed: bool = False

    def all_of(self, most: int) -> Sequence[Clip] | None:
        return self.clips if len(self.clips) <= most else None

    def at(self, position: int) -> Clip:
        number, place = divmod(position, len(self.clips))
        if number == 0 and self.first_pass_as_listed:
            return self.clips[place]
        return self.clips[int(_permutation(self.seed, number, len(self.clips))[place])]


@lru_cache(maxsize=4)
def _permutation(seed: int, number: int, length: int) -> npt.NDArray[np.intp]:
    return np.random.default_rng([seed, number]).permutation(length)


@dataclass(frozen=True)
class ListedClips:
    """The training clips of a known set."""

    clips: Sequence[Clip]

    def order(self, seed: int) -> ClipOrder:
        return ListedOrder(self.clips, seed)


class ClipMeasurements:
    """Measurements of whole clips. They are made when a clip's first window is drawn, and kept from trial to trial."""

    def __init__(self) -> None:
        self._known: LRUCache[Hashable, Any] = LRUCache(MAX_MEASURED)

    def of(self, clip: Clip, *, measured_with: Hashable, measure: Callable[[Waveform], Measurement]) -> Measurement:
        """The result of `measure` for the clip (C, T). `measured_with` identifies the measure."""
        key = (clip.take.recording.recording_id, clip.take.speed, clip.start, measured_with)
        known: Measurement | None = self._known.get(key)
        if known is None:
            known = self._known[key] = measure(clip.read())
        return known
