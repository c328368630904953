"""What a trial trains on: windows at random places in random clips, encoded when they are drawn.

Audio stays where it is (in the store, or with who decodes it) but for the clips that can be drawn at a step. A set of
up to POOL_CLIPS clips can be drawn from as a whole at any step. Of a larger one the clips are put in an endless order,
and step s draws from the pool of clips s .. s + POOL_CLIPS - 1, so that every step lets in one more:

    step 0      [ c0 c1 c2 ... c63 ] c64 ...
    step 1        c0 [ c1 c2 ... c64 ] c65 ...

The pool is a function of the step alone: nothing has to be remembered to continue a trial, and a set that is still
arriving from a network is trained on as soon as the first pool is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from core.audio import Waveform
from core.clips import Clip
from core.frontend import ClipLevel, Codes, FrontEnd, FrontEndConfig, fit_front_end

POOL_CLIPS = 64
FIT_CLIPS, FIT_SECONDS = 64, 2.0
"""Gains and marginals are measured on so many clips of the first pool, so many seconds from the middle of each."""
MAX_LEVELS = 16_384
"""Clips whose level is remembered from trial to trial."""


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


@dataclass(kw_only=True)
class TrainingCodes:
    """Windows of one trial's training clips, as its front end encodes them."""

    order: ClipOrder
    front_end: FrontEnd
    levels: "Levels"
    _everything: Sequence[Clip] | None = field(init=False)

    def __post_init__(self) -> None:
        self._everything = self.order.all_of(POOL_CLIPS)

    def draw(self, *, step: int, num_windows: int, num_samples: int, random: np.random.Generator) -> Codes:
        """(B, C, num_samples) codes, shorter only where the clips are."""
        which = random.integers(len(self._everything) if self._everything else POOL_CLIPS, size=num_windows)
        clips = [self._clip(step, int(index)) for index in which]
        length = min(num_samples, clips[0].num_samples)
        starts = random.integers(clips[0].num_samples - length + 1, size=num_windows)
        windows = [
            self.encode(clip, int(first), int(first) + length) for clip, first in zip(clips, starts, strict=True)
        ]
        return np.stack(windows)

    def encode(self, clip: Clip, first: int, end: int) -> Codes:
        """(C, end - first): what `FrontEnd.encode` makes of the clip, there."""
        has_past = first > 0
        samples = clip.read(first - has_past, end)
        return self.front_end.encode_part(samples, self.levels.of(clip, self.front_end), has_past=has_past)

    def _clip(self, step: int, index: int) -> Clip:
        return self._everything[index] if self._everything else self.order.at(step + index)


class Levels:
    """Means and gains of clips, measured on the whole clip when one of its windows is first drawn."""

    def __init__(self) -> None:
        self._known: Any = LRUCache(MAX_LEVELS)

    def of(self, clip: Clip, front_end: FrontEnd) -> ClipLevel:
        # Gains come from the training clips, which are others for another seed; a matched level needs none.
        measured_with = front_end.config if front_end.config.level == "matched" else front_end
        key = (clip.take.recording.recording_id, clip.take.speed, clip.start, measured_with)
        level: ClipLevel | None = self._known.get(key)
        if level is None:
            level = self._known[key] = front_end.level_of(clip.read())
        return level


def fit_to_training(
    config: FrontEndConfig, order: ClipOrder, levels: Levels
) -> tuple[TrainingCodes, npt.NDArray[np.uint8]]:
    """The front end fitted to a sample of the first pool, at work; and the sample's codes (N, C, T)."""
    everything = order.all_of(POOL_CLIPS)
    pool_size = len(everything) if everything else POOL_CLIPS
    places = np.unique(np.linspace(0, pool_size - 1, FIT_CLIPS).round().astype(int))
    clips = [everything[place] if everything else order.at(int(place)) for place in places]
    spans = [_middle(clip, config.sample_rate_hz) for clip in clips]
    pieces: list[Waveform] = [clip.read(first, end) for clip, (first, end) in zip(clips, spans, strict=True)]
    codes = TrainingCodes(order=order, front_end=fit_front_end(config, pieces), levels=levels)
    sample = [codes.encode(clip, first, end) for clip, (first, end) in zip(clips, spans, strict=True)]
    return codes, np.stack(sample)


def _middle(clip: Clip, sample_rate_hz: int) -> tuple[int, int]:
    length = min(clip.num_samples, round(FIT_SECONDS * sample_rate_hz))
    first = (clip.num_samples - length) // 2
    return first, first + length
