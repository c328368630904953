"""Where a clip's sound changes: it is cut into segments, and each segment gets a distance from the rest of its clip.

F frames, E = channels * statistics. The statistics of a frame minus the clip's median are whitened by the covariance of
calibration clips treated alike (Ledoit and Wolf, 2004), channel by channel. Change points minimise the squared
distances to the segments' means plus a penalty for each change (Killick and others, 2012; `ruptures`). The penalty is
measured: a calibration clip has a critical penalty, beyond which it has no change point, and the median of those is
taken. So half of the healthy clips have a segment that stands out, and their distances tell how far that is normal.

    evidence of a segment = log(sqrt(length in frames) * mean squared distance of its mean from the clip's median)

The weight of the length lies between none, which lets short noise stand out, and the full length of a likelihood ratio,
which lets a long drift stand out. It was chosen on validation clips (docs/quality.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ruptures import KernelCPD
from sklearn.covariance import LedoitWolf
from threadpoolctl import threadpool_limits

from core.decision.standard import Standard, standard_of

Vectors = npt.NDArray[np.float64]

SHORTEST_MS = 400.0
"""Of a segment."""
PENALTY_QUANTILE = 0.5
LEAST_EVIDENCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a clip in frames; the end is excluded."""

    first: int
    end: int
    evidence: float
    channel_evidence: Vectors
    """(C,): the same, of each channel alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ChangeModel:
    """How much the sound changes within healthy clips."""

    whitening: Vectors
    """(C, E, E): a row vector of a channel times its matrix has identity covariance on calibration clips."""
    penalty: float
    standard: Standard
    """Of the highest evidence of each calibration clip."""
    shortest: int
    """Of a segment, in frames."""

    def segments(self, vectors: Vectors) -> list[Segment]:
        """The segments of a clip (C, F, E), from its start to its end."""
        white = _whitened(vectors, self.whitening)
        return list(_segments(white, self.penalty, self.shortest))


def fit_changes(clips: Vectors, *, frame_ms: float) -> ChangeModel:
    """Fits calibration clips (N, C, F, E)."""
    centred = (clips - np.median(clips, axis=2, keepdims=True)).astype(np.float64)
    with threadpool_limits(limits=1, user_api="blas"):
        whitening = np.stack([_whitening(centred[:, channel]) for channel in range(clips.shape[1])])
        shortest = max(2, round(SHORTEST_MS / frame_ms))
        white = [_whitened(clip, whitening) for clip in clips]
        critical = [critical_penalty(_side_by_side(clip), shortest) for clip in white]
        penalty = float(np.quantile(critical, PENALTY_QUANTILE))
        highest = [max(segment.evidence for segment in _segments(clip, penalty, shortest)) for clip in white]
    return ChangeModel(
        whitening=whitening,
        penalty=penalty,
        standard=standard_of(np.array(highest)),
        shortest=shortest,
    )


def _whitening(centred: Vectors) -> Vectors:
    """(N, F, E) of one channel to (E, E)."""
    flat = centred.reshape(-1, centred.shape[-1])
    precision = np.linalg.inv(LedoitWolf(assume_centered=True).fit(flat).covariance_ + 1e-9 * np.eye(flat.shape[1]))
    whitening: Vectors = np.linalg.cholesky((precision + precision.T) / 2).astype(np.float64)
    return whitening


def _whitened(vectors: Vectors, whitening: Vectors) -> Vectors:
    """(C, F, E), minus the medians over its frames, to the same shape."""
    centred = vectors - np.median(vectors, axis=1, keepdims=True)
    white: Vectors = centred @ whitening
    return white


def _side_by_side(white: Vectors) -> Vectors:
    """(C, F, E) to (F, C * E)."""
    return white.transpose(1, 0, 2).reshape(white.shape[1], -1)


def critical_penalty(points: Vectors, shortest: int) -> float:
    """The smallest penalty with which (F, D) points have no change point, as far as one or two changes decide it.

    A split is worth its penalty where the squared distances fall by more. 0 where no split is possible.
    """
    num_frames = len(points)
    sums = np.concatenate([np.zeros((1, points.shape[1])), np.cumsum(points, axis=0)])
    gains = [0.0]
    for first in range(0, num_frames - shortest + 1):
        if 0 < first < shortest:  # the segment before it would be too short
            continue
        ends = np.arange(first + shortest, num_frames + 1)
        ends = ends[(ends == num_frames) | (num_frames - ends >= shortest)]
        inner = np.square(sums[ends] - sums[first]).sum(axis=1) / (ends - first)
        before = np.square(sums[first]).sum() / max(first, 1)
        after = np.square(sums[-1] - sums[ends]).sum(axis=1) / np.maximum(num_frames - ends, 1)
        num_changes = int(first > 0) + (ends < num_frames)
        gain = inner + before + after - np.square(sums[-1]).sum() / num_frames
        gains.append(float((gain / np.maximum(num_changes, 1)).max()))
    return max(gains)


def _segments(white: Vectors, penalty: float, shortest: int) -> Iterator[Segment]:
    points = _side_by_side(white)
    ends = [len(points)]
    if len(points) >= 2 * shortest:
        ends = KernelCPD(kernel="linear", min_size=shortest).fit(points).predict(pen=max(penalty, 1e-9))
    for first, end in zip([0, *ends[:-1]], ends, strict=True):
        means = white[:, first:end].mean(axis=1) - np.median(white, axis=1)  # (C, E)
        squares = np.sqrt(end - first) * np.square(means).mean(axis=1)
        channel_evidence = np.log(squares + LEAST_EVIDENCE)
        yield Segment(
            first=first,
            end=end,
            evidence=float(np.log(squares.mean() + LEAST_EVIDENCE)),
            channel_evidence=channel_evidence,
        )
