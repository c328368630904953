"""Which clips a training step draws from.

Audio stays where it is (in the store, or with who decodes it) but for the clips that can be drawn at a step. A set of
up to POOL_CLIPS clips can be drawn from as a whole at any step. Of a larger one the clips are put in an endless order,
and step s draws from the pool of clips s .. s + POOL_CLIPS - 1, so that every step lets in one more:

    step 0      [ c0 c1 c2 ... c63 ] c64 ...
    step 1        c0 [ c1 c2 ... c64 ] c65 ...

The pool is a function of the step alone: nothing has to be remembered to continue a trial, and a set that is still
arriving from a network is trained on as soon as the first pool is there.
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
"""Clips whose measurement is remembered from trial to trial."""


class ClipOrder(Protocol):
    """The order in which one trial comes by its clips."""

    def all_of(self, most: int) -> Sequence[Clip] | None:
        """Every clip, in a fixed order, where there are at most `most`; else None. Waits for them to arrive."""
        ...

    def at(self, position: int) -> Clip:
        """The clip at a position of the endless order, from 0. Waits for it to arrive."""
        ...


class TrainingClips(Protocol):
    """The training clips of a study."""

    def order(self, seed: int) -> ClipOrder:
        """For one trial."""
        ...


@dataclass(frozen=True, eq=False)
class ListedOrder:
    """Clips that are all there. Every pass goes through them in an order of its own, by the seed."""

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
    """The training clips of a set that is known."""

    clips: Sequence[Clip]

    def order(self, seed: int) -> ClipOrder:
        return ListedOrder(self.clips, seed)


class ClipMeasurements:
    """Measurements of whole clips, made when a clip's first window is drawn and kept from trial to trial."""

    def __init__(self) -> None:
        self._known: LRUCache[Hashable, Any] = LRUCache(MAX_MEASURED)

    def of(self, clip: Clip, *, measured_with: Hashable, measure: Callable[[Waveform], Measurement]) -> Measurement:
        """What `measure` returns for the clip (C, T). `measured_with` tells one measure from another."""
        key = (clip.take.recording.recording_id, clip.take.speed, clip.start, measured_with)
        known: Measurement | None = self._known.get(key)
        if known is None:
            known = self._known[key] = measure(clip.read())
        return known
