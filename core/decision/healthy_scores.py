"""Scores of healthy sound that neither trained a detector nor chose it, and how many clips of it are independent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.decision.metrics import FloatArray

LOWEST_SIGMAS = -1e9
"""In place of -inf, the score of a clip in which no event survives."""


@dataclass(frozen=True, kw_only=True)
class HealthyScores:
    """Scores of healthy clips that neither trained the detector nor chose it."""

    takes: tuple[tuple[float, ...], ...]
    """In sigmas, recording by recording."""
    seconds_a_clip: float
    """The scored part of a clip. Clips of a long recording follow each other at this distance."""

    @classmethod
    def of(cls, takes: Mapping[Any, Sequence[float]], *, seconds_a_clip: float) -> "HealthyScores":
        """By recording; the highest scores first, to six digits."""
        return cls(
            takes=tuple(
                tuple(sorted((float(f"{max(score, LOWEST_SIGMAS):.6g}") for score in scores), reverse=True))
                for scores in takes.values()
                if len(scores)
            ),
            seconds_a_clip=seconds_a_clip,
        )

    @property
    def num_takes(self) -> int:
        return len(self.takes)

    @property
    def num_clips(self) -> int:
        return sum(map(len, self.takes))

    @property
    def hours(self) -> float:
        return self.num_clips * self.seconds_a_clip / 3600

    def highest_first(self) -> tuple[FloatArray, FloatArray]:
        """(N,) scores of all clips, and each clip's share of its recording."""
        scores = np.array([score for take in self.takes for score in take])
        shares = np.array([1 / len(take) for take in self.takes for _ in take])
        order = np.argsort(-scores, kind="stable")
        return scores[order], shares[order]


def design_effect(healthy: HealthyScores) -> float:
    """How many clips count as much as one independent clip (Kish 1965), because clips of a recording are alike.

    1 where every recording has one clip or recordings do not differ, and all clips of a recording where they are the
    same. A single recording does not show how recordings differ, so it counts as one clip.
    """
    sizes, num_clips = np.array([len(take) for take in healthy.takes], float), healthy.num_clips
    num_takes = len(sizes)
    if num_takes < 2:
        return float(max(1, num_clips))
    if num_takes == num_clips:
        return 1.0
    means = np.array([np.mean(take) for take in healthy.takes])
    grand_mean = float(np.sum(sizes * means) / num_clips)
    between = float(np.sum(sizes * (means - grand_mean) ** 2)) / (num_takes - 1)
    within = sum(float(np.sum((np.array(take) - mean) ** 2)) for take, mean in zip(healthy.takes, means, strict=True))
    within /= num_clips - num_takes
    usual_size = (num_clips - float(np.sum(sizes**2)) / num_clips) / (num_takes - 1)
    total = between + (usual_size - 1) * within
    correlation = min(max((between - within) / total, 0.0), 1.0) if total > 0 else 1.0
    return 1 + (float(np.sum(sizes**2)) / num_clips - 1) * correlation
