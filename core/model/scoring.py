"""Network output to frame scores: four scores of each frame of each clip, from one pass.

In: codes (N, C, T). Out: scores (N, C, F), F = (T - context) // frame samples. Frame f begins at sample
context + f * frame. The context is the study's largest receptive field, so that all trials of a study are scored on the
same samples and their losses can be compared.
"""

from dataclasses import dataclass, fields
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from core.errors import UserError
from core.model.frontend import Codes
from core.model.wavenet import WaveNet
from core.thread_pool import ThreadPool

Scores = npt.NDArray[np.float32]

SCORES = ("surprise", "entropy", "residual", "normalised_residual")
SLICE_TARGETS = {"cpu": 2**13, "cuda": 2**20}
"""Predicted samples per channel in one forward pass: bounds memory for clips of any length."""


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """The score that is computed from the network's output."""

    score: Literal["surprise", "entropy", "residual", "normalised_residual"] = "surprise"
    """`surprise`: -log2 p(x_t), the prediction error. `entropy`: of the prediction, which does not depend on x_t.
    `residual`: surprise - entropy, the surprise beyond its expectation. `normalised_residual`: the residual in its
    expected standard deviations."""
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

    @property
    def residual(self) -> Scores:
        """Bits per sample."""
        return self.surprise - self.entropy

    def of(self, score: str) -> Scores:
        """The named score."""
        scores: Scores = getattr(self, score)
        return scores


FRAME_SCORES = tuple(field.name for field in fields(FrameScores))
"""Of the sample scores, those that are averaged over frames."""


def score_clips(
    model: WaveNet, clips: Codes, *, context_samples: int, frame_samples: int, pool: ThreadPool
) -> FrameScores:
    """Scores clips of one length, in slices of bounded size, on the pool's threads.

    A clip without a whole frame after its context gives no frames (F = 0). An incomplete last frame is dropped.
    """
    receptive_field = model.config.receptive_field_samples
    assert context_samples >= receptive_field, "the context must cover the receptive field"
    device = next(model.parameters()).device
    num_clips, num_channels, num_samples = clips.shape
    num_frames = max(0, (num_samples - context_samples) // frame_samples)
    slice_targets = SLICE_TARGETS.get(device.type, SLICE_TARGETS["cpu"])
    frames_a_slice = max(1, min(num_frames, slice_targets // frame_samples))
    clips_a_slice = max(1, slice_targets // (frames_a_slice * frame_samples))
    shape = (len(FRAME_SCORES), num_clips, num_channels, num_frames)
    scores = np.empty(shape, dtype=np.float32)

    def score(place: tuple[int, int]) -> None:
        first_clip, first = place
        last = min(first + frames_a_slice, num_frames)
        begin = context_samples + first * frame_samples - receptive_field
        end = context_samples + last * frame_samples
        part = torch.from_numpy(clips[first_clip : first_clip + clips_a_slice, :, begin:end]).to(device)
        samples = model.sample_scores(part)
        for kind, values in enumerate(getattr(samples, name) for name in FRAME_SCORES):
            means = values.reshape(*values.shape[:2], last - first, frame_samples).mean(dim=-1)
            scores[kind, first_clip : first_clip + clips_a_slice, :, first:last] = means.cpu().numpy()

    pool.map(score, product(range(0, num_clips, clips_a_slice), range(0, num_frames, frames_a_slice)))
    return FrameScores(**dict(zip(FRAME_SCORES, scores, strict=True)))
