"""Network output to frame scores: four scores and a vector of statistics of each frame of each clip, from one pass.

In: codes (N, C, T) and the waveforms that they encode, which may have several samples a code. Out: scores (N, C, F),
F = (T - context) // frame samples, and statistics (N, C, F, K). Frame f begins at sample context + f * frame. The
context is the study's largest receptive field, so that all trials of a study are scored on the same samples and their
losses can be compared.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from core.errors import UserError
from core.model.clips_to_score import ClipsToScore
from core.model.fast.likelihood import SampleScores
from core.model.frame_statistics import NUM_OF_SOUND, FrameVectors, num_statistics, prediction_statistics
from core.model.frontend import Codes
from core.model.innovations import Samples, innovations, uniform_draws
from core.model.wavenet import WaveNet
from core.thread_pool import ThreadPool

Scores = npt.NDArray[np.float32]

SCORES = ("surprise", "entropy", "residual", "normalised_residual", "innovations")
INNOVATIONS = "innovations"
PAPER_SCORES = tuple(score for score in SCORES if score != INNOVATIONS)
"""One number a frame."""
SLICE_TARGETS = {"cpu": 2**13, "cuda": 2**20}
"""Predicted samples per channel in one forward pass: bounds memory for clips of any length."""
GROUP_SAMPLES = 2**22
"""Samples, over all channels, whose scores are held at once, 16 bytes each. A clip that is longer is held whole."""


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """The score that is computed from the network's output."""

    score: Literal["surprise", "entropy", "residual", "normalised_residual", "innovations"] = "surprise"
    """`surprise`: -log2 p(x_t), the prediction error. `entropy`: of the prediction, which does not depend on x_t.
    `residual`: surprise - entropy, the surprise beyond its expectation. `normalised_residual`: the residual in its
    expected standard deviations. `innovations`: all statistics of core/model/frame_statistics.py together."""
    frame_ms: float = 25.0
    """Samples are averaged over frames of this length."""

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise UserError(f"scoring.score must be one of {', '.join(SCORES)}, but got {self.score!r}.")
        if not 1 <= self.frame_ms <= 1000:
            raise UserError(f"scoring.frame_ms must be 1 to 1000, but got {self.frame_ms}.")

    def frame_samples(self, sample_rate_hz: int) -> int:
        return max(1, round(self.frame_ms * sample_rate_hz / 1000))


@dataclass(frozen=True, kw_only=True)
class FrameScores:
    """The scores of a set of clips from one pass, each (N, C, F): means over the samples of a frame."""

    surprise: Scores
    """Bits per sample."""
    entropy: Scores
    """Bits per sample."""
    normalised_residual: Scores
    statistics: FrameVectors
    """(N, C, F, K), float16; K = 0 where they were not asked for."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the scores that `of` gives."""
        return SCORES if self.statistics.shape[-1] else PAPER_SCORES

    @property
    def residual(self) -> Scores:
        """Bits per sample."""
        return self.surprise - self.entropy

    @property
    def innovations(self) -> FrameVectors:
        return self.statistics

    def of(self, score: str) -> npt.NDArray[np.floating]:
        """The named score: (N, C, F), or (N, C, F, K) for `innovations`."""
        scores: npt.NDArray[np.floating] = getattr(self, score)
        return scores


FRAME_SCORES = tuple(field.name for field in fields(FrameScores))
"""What is kept in files."""


def score_clips(
    model: WaveNet,
    clips: ClipsToScore,
    *,
    context_samples: int,
    frame_samples: int,
    sample_rate_hz: int,
    with_statistics: bool,
    pool: ThreadPool,
) -> FrameScores:
    """Scores clips of one length, in slices of bounded size, on the pool's threads.

    The statistics take thirty times the room of a score, so they are measured for those who ask for them. A clip
    without a whole frame after its context gives no frames (F = 0). An incomplete last frame is dropped. The context,
    frames and the rate are those of the network.
    """
    num_samples = clips.num_scored(context_samples, frame_samples)
    clips_a_group, groups = max(1, GROUP_SAMPLES // math.prod(clips.codes.shape[1:])), []
    for first in range(0, max(1, len(clips.codes)), clips_a_group):
        part = clips.part(first, clips_a_group)
        samples = _score_samples(
            model,
            part.codes,
            context_samples=context_samples,
            num_samples=num_samples,
            with_below=with_statistics,
            pool=pool,
        )
        num_frames = num_samples // frame_samples
        statistics = np.empty((*samples.surprise.shape[:2], num_frames, 0), np.float16)
        if with_statistics:
            scored = part.after(context_samples, num_samples)
            statistics = _statistics(
                samples, scored, frame_samples=frame_samples, sample_rate_hz=sample_rate_hz, pool=pool
            )
        surprise, entropy, normalised_residual = (
            values.reshape(*values.shape[:2], num_frames, frame_samples).mean(axis=-1)
            for values in (samples.surprise, samples.entropy, samples.normalised_residual)
        )
        groups.append(
            FrameScores(
                surprise=surprise, entropy=entropy, normalised_residual=normalised_residual, statistics=statistics
            )
        )
    return FrameScores(**{kind: np.concatenate([getattr(group, kind) for group in groups]) for kind in FRAME_SCORES})


def _statistics(
    samples: "_Samples", clips: ClipsToScore, *, frame_samples: int, sample_rate_hz: int, pool: ThreadPool
) -> FrameVectors:
    """The statistics of the frames of (N, C, T) samples of these clips, (N, C, F, K)."""
    num_clips, num_channels, num_samples = samples.surprise.shape
    num_frames = num_samples // frame_samples

    statistics = np.empty((num_clips, num_channels, num_frames, num_statistics(num_channels)), np.float16)

    def measure(clip: int) -> None:
        statistics[clip, ..., :-NUM_OF_SOUND] = prediction_statistics(
            samples.surprise[clip],
            samples.entropy[clip],
            samples.innovations_of(clip, clips.first_samples[clip]),
            frame_samples=frame_samples,
            sample_rate_hz=sample_rate_hz,
        )
        statistics[clip, ..., -NUM_OF_SOUND:] = clips.sound_of(clip, frame_samples, sample_rate_hz)

    pool.map(measure, range(num_clips))
    return statistics


class _Samples(NamedTuple):
    """SampleScores as arrays (N, C, T), float32."""

    surprise: Samples
    entropy: Samples
    normalised_residual: Samples
    below: Samples

    def innovations_of(self, clip: int, first_sample: int) -> Samples:
        """(C, T) of one clip, whose samples begin at `first_sample` of its recording."""
        num_channels, num_samples = self.surprise.shape[1:]
        draws = uniform_draws(first_sample, num_samples, num_channels)
        return innovations(self.surprise[clip], self.below[clip], draws)


def clip_innovations(
    model: WaveNet, clips: ClipsToScore, *, context_samples: int, pool: ThreadPool
) -> Iterator[Samples]:
    """Yields the innovations z of each clip, (C, T), of all samples after its context."""
    num_samples = max(0, clips.codes.shape[-1] - context_samples)
    clips_a_group = max(1, GROUP_SAMPLES // math.prod(clips.codes.shape[1:]))
    for first in range(0, len(clips.codes), clips_a_group):
        part = clips.part(first, clips_a_group)
        samples = _score_samples(
            model, part.codes, context_samples=context_samples, num_samples=num_samples, with_below=True, pool=pool
        )
        for clip, first_sample in enumerate(part.first_samples):
            yield samples.innovations_of(clip, first_sample + context_samples)


def _score_samples(
    model: WaveNet, codes: Codes, *, context_samples: int, num_samples: int, with_below: bool, pool: ThreadPool
) -> _Samples:
    """The scores of `num_samples` samples after the context. The innovations alone need `below`."""
    network = model.fast()
    receptive_field = model.config.receptive_field_samples
    assert context_samples >= receptive_field, "the context must cover the receptive field"
    device = next(model.parameters()).device
    slice_targets = SLICE_TARGETS.get(device.type, SLICE_TARGETS["cpu"])
    clips_a_slice = max(1, slice_targets // max(1, num_samples))
    scores = np.empty((len(SampleScores._fields), *codes.shape[:2], num_samples), dtype=np.float32)

    def score(place: tuple[int, int]) -> None:
        first_clip, first = place
        last = min(first + slice_targets, num_samples)
        begin, end = context_samples + first - receptive_field, context_samples + last
        part = torch.from_numpy(codes[first_clip : first_clip + clips_a_slice, :, begin:end]).to(device)
        for kind, values in enumerate(network.sample_scores(part, with_below=with_below)):
            scores[kind, first_clip : first_clip + clips_a_slice, :, first:last] = values.cpu().numpy()

    pool.map(score, product(range(0, len(codes), clips_a_slice), range(0, num_samples, slice_targets)))
    return _Samples(**dict(zip(SampleScores._fields, scores, strict=True)))
