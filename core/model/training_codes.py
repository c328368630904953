"""The training windows of a trial: random places in random clips, encoded when they are drawn.

Audio is read when it is needed. `core/data/training_clips.py` decides which clips can be drawn at a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from core.data.audio import Waveform
from core.data.clips import Clip
from core.data.training_clips import POOL_CLIPS, ClipMeasurements, ClipOrder
from core.model.frontend import ClipLevel, Codes, FrontEnd, FrontEndConfig, fit_front_end

FIT_CLIPS, FIT_SECONDS = 64, 2.0
"""Gains and marginals are measured on this many clips of the first pool, this many seconds of each."""


@dataclass(kw_only=True)
class TrainingCodes:
    """Windows of one trial's training clips, as its front end encodes them."""

    order: ClipOrder
    front_end: FrontEnd
    measurements: ClipMeasurements
    _everything: Sequence[Clip] | None = field(init=False)

    def __post_init__(self) -> None:
        self._everything = self.order.all_of(POOL_CLIPS)

    def draw(self, *, step: int, num_windows: int, num_samples: int, random: np.random.Generator) -> Codes:
        """(B, C, num_samples) codes; shorter where clips are."""
        which = random.integers(len(self._everything) if self._everything else POOL_CLIPS, size=num_windows)
        clips = [self._clip(step, int(index)) for index in which]
        length = min(num_samples, self._num_samples(clips[0]))
        starts = random.integers(self._num_samples(clips[0]) - length + 1, size=num_windows)
        windows = [
            self.encode(clip, int(first), int(first) + length) for clip, first in zip(clips, starts, strict=True)
        ]
        return np.stack(windows)

    def encode(self, clip: Clip, first: int, end: int) -> Codes:
        """(C, end - first): this part of what `FrontEnd.encode` returns for the clip."""
        config = self.front_end.config
        num_past = min(first, config.past_samples)
        samples = clip.read((first - num_past) * config.decimation, end * config.decimation)
        return self.front_end.encode_part(samples, self.level_of(clip), num_past=num_past)

    def _num_samples(self, clip: Clip) -> int:
        """Codes of the clip."""
        return clip.num_samples // self.front_end.config.decimation

    def _clip(self, step: int, index: int) -> Clip:
        return self._everything[index] if self._everything else self.order.at(step + index)

    def level_of(self, clip: Clip) -> ClipLevel:
        # Another seed gives other training clips and so other gains; a matched level needs no gains.
        front_end = self.front_end
        measured_with = front_end.config if front_end.config.level == "matched" else front_end
        return self.measurements.of(clip, measured_with=measured_with, measure=front_end.level_of)


def fit_to_training(
    config: FrontEndConfig, order: ClipOrder, measurements: ClipMeasurements
) -> tuple[TrainingCodes, npt.NDArray[np.uint8]]:
    """Training windows with a front end fitted to a sample of the first pool, and the sample's codes (N, C, T)."""
    everything = order.all_of(POOL_CLIPS)
    pool_size = len(everything) if everything else POOL_CLIPS
    places = np.unique(np.linspace(0, pool_size - 1, FIT_CLIPS).round().astype(int))
    clips = [everything[place] if everything else order.at(int(place)) for place in places]
    spans, step = [_middle(clip, config) for clip in clips], config.decimation
    pieces: list[Waveform] = [
        clip.read(first * step, end * step) for clip, (first, end) in zip(clips, spans, strict=True)
    ]
    codes = TrainingCodes(order=order, front_end=fit_front_end(config, pieces), measurements=measurements)
    sample = [codes.encode(clip, first, end) for clip, (first, end) in zip(clips, spans, strict=True)]
    return codes, np.stack(sample)


def _middle(clip: Clip, config: FrontEndConfig) -> tuple[int, int]:
    """The first code of the clip's middle, and its end."""
    num_samples = clip.num_samples // config.decimation
    length = min(num_samples, round(FIT_SECONDS * config.sample_rate_hz))
    first = (num_samples - length) // 2
    return first, first + length
