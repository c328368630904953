"""Where a clip's sound changes: it is cut into segments, and each segment gets a distance from the rest of its clip.

C channels, F frames, E statistics of a frame. The statistics minus the clip's median are whitened by the covariance of
calibration clips treated alike (Ledoit and Wolf, 2004), channel by channel and group by group. Change points minimise
the squared distances to the segments' means plus a penalty for each change (Killick and others, 2012; `ruptures`). The
penalty is measured: a calibration clip has a critical penalty, beyond which it has no change point, and the lower
quartile of those is taken. So most healthy clips have a segment that stands out a little. How much is normal is
measured on the calibration clips, each of them cut just below its own critical penalty.

    evidence of a segment = log(1 + length in frames ** LENGTH_WEIGHT * distance ** 2)
    distance              = the mean over statistics of |the segment's mean - what is usual in the clip|
    usual                 = the median over frames, each of which has its segment's mean

The median of the frames themselves would move towards an event, and the rest of the clip stand out, too. By the mean of
absolute distances a fault that changes all bands a little counts for more than a knock or a tone that changes a few of
them much. Of several channels the mean of `length ** LENGTH_WEIGHT * distance ** 2` is taken. The weight of the length
lies between none, which lets short noise stand out, and the full length of a likelihood ratio, which lets a long drift
stand out. All of it was chosen on validation clips (docs/experiments.md).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ruptures import KernelCPD
from scipy.linalg import block_diag
from threadpoolctl import threadpool_limits

from core.decision.standard import Standard, standard_of
from core.errors import UserError

Vectors = npt.NDArray[np.float64]

FORMAT = 2
"""Raise it when the same clips give other segments or other evidence."""
SHORTEST_MS = 400.0
"""Of a segment."""
LENGTH_WEIGHT = 0.75
PENALTY_QUANTILE = 0.25
PENALTY_STEP = 1.1
LEAST_PENALTY = 1e-9
LEAST_DEVIATION = 0.05
"""Of a statistic within healthy clips: below all that were measured (0.07 to 0.2 by smoothing), so that a band without
any sound, which lies at its floor, does not stand out by its rounding."""


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
    """(C, E, E): a row vector of a channel times its matrix has identity covariance on calibration clips within each
    group of statistics."""
    penalty: float
    standard: Standard
    """Of the highest evidence of each calibration clip, where it is cut at all."""
    shortest: int
    """Of a segment, in frames."""

    def segments(self, vectors: Vectors) -> list[Segment]:
        """The segments of a clip (C, F, E), from its start to its end."""
        white = _whitened(vectors, self.whitening)
        return list(_segments(white, self.penalty, self.shortest))

    def sigmas(self, vectors: Vectors) -> Vectors:
        """(C, F, E) of one clip to (1 + C, F): the evidence of each frame's segment by all channels, then by each."""
        found = np.empty((1 + len(vectors), vectors.shape[1]))
        for segment in self.segments(vectors):
            evidence = np.array([segment.evidence, *segment.channel_evidence])
            found[:, segment.first : segment.end] = self.standard.sigmas(evidence)[:, None]
        return found


def has_room(num_frames: int, frame_ms: float) -> bool:
    """Whether a clip has room for two segments, without which it cannot be compared with itself."""
    return num_frames >= 2 * _shortest_frames(frame_ms)


def _shortest_frames(frame_ms: float) -> int:
    return max(2, round(SHORTEST_MS / frame_ms))


def fit_changes(clips: Vectors, group_sizes: Sequence[int], *, num_takes: int, frame_ms: float) -> ChangeModel:
    """Fits calibration clips (N, C, F, E) of so many takes. E are the statistics of all groups, one after the other.

    UserError for clips in which two of the shortest segments have no room.
    """
    shortest = _shortest_frames(frame_ms)
    if not has_room(clips.shape[2], frame_ms):
        least_s, scored_s = (frames * frame_ms / 1000 for frames in (2 * shortest, clips.shape[2]))
        raise UserError(
            f"A clip that is compared with itself must have at least {least_s:g} s that are scored, but has "
            f'{scored_s:g} s. Raise clips.clip_seconds, or set postprocessing.baseline = "machine".'
        )
    centred = (clips - np.median(clips, axis=2, keepdims=True)).astype(np.float64)
    with threadpool_limits(limits=1, user_api="blas"):
        whitening = np.stack(
            [_whitening_by_group(centred[:, channel], group_sizes) for channel in range(clips.shape[1])]
        )
        white = [_whitened(clip, whitening) for clip in clips]
        critical = [critical_penalty(_side_by_side(clip), shortest) for clip in white]
        penalty = float(np.quantile(critical, PENALTY_QUANTILE))
        highest = [
            max(segment.evidence for segment in _segments(clip, own / PENALTY_STEP, shortest))
            for clip, own in zip(white, critical, strict=True)
        ]
    return ChangeModel(
        whitening=whitening,
        penalty=penalty,
        standard=standard_of(np.array(highest), freedom=num_takes - 1),
        shortest=shortest,
    )


def _whitening_by_group(centred: Vectors, group_sizes: Sequence[int]) -> Vectors:
    """(N, F, E) of one channel to (E, E), with zeros between groups: the bands of two groups are so alike that their
    differences would count most."""
    groups = np.split(centred, np.cumsum(group_sizes)[:-1], axis=-1)
    whitening: Vectors = block_diag(*map(_whitening, groups))
    return whitening


def _whitening(centred: Vectors) -> Vectors:
    """(N, F, E) of one group to (E, E). Ledoit and Wolf's rule shrinks correlations, so scales are removed first.

    A statistic with less than LEAST_DEVIATION counts as if noise of its own filled it up to that.
    """
    from sklearn.covariance import LedoitWolf  # here, because only what seeks change points should wait for it

    flat = centred.reshape(-1, centred.shape[-1])
    deviations = flat.std(axis=0)
    scales = np.maximum(deviations, LEAST_DEVIATION)
    correlation = LedoitWolf(assume_centered=True).fit(flat / scales).covariance_
    precision = np.linalg.inv(correlation + np.diag(1 - np.square(deviations / scales)))
    whitening: Vectors = np.linalg.cholesky((precision + precision.T) / 2).astype(np.float64) / scales[:, None]
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
    """The smallest penalty, within PENALTY_STEP, with which (F, D) points have no change point; F is 2 * shortest or
    more.

    The search begins at the fall of the squared distances by the best single change, which cannot be too high.
    """
    search = KernelCPD(kernel="linear", min_size=shortest).fit(points)
    penalty = max(_gain_of_one_change(points, shortest), LEAST_PENALTY)
    while len(search.predict(pen=penalty)) > 1:
        penalty *= PENALTY_STEP
    return penalty


def _gain_of_one_change(points: Vectors, shortest: int) -> float:
    sums, num_frames = np.cumsum(points, axis=0), len(points)
    places = np.arange(shortest, num_frames - shortest + 1)
    before, after = sums[places - 1], sums[-1] - sums[places - 1]
    apart = np.square(before).sum(axis=1) / places + np.square(after).sum(axis=1) / (num_frames - places)
    return float(apart.max() - np.square(sums[-1]).sum() / num_frames)


def _segments(white: Vectors, penalty: float, shortest: int) -> Iterator[Segment]:
    points = _side_by_side(white)
    ends = [len(points)]
    if len(points) >= 2 * shortest:
        ends = KernelCPD(kernel="linear", min_size=shortest).fit(points).predict(pen=max(penalty, LEAST_PENALTY))
    firsts = [0, *ends[:-1]]
    for first, end, distances in zip(firsts, ends, _distances(white, firsts), strict=True):
        squares = (end - first) ** LENGTH_WEIGHT * np.square(distances)
        yield Segment(
            first=first,
            end=end,
            evidence=float(np.log1p(squares.mean())),
            channel_evidence=np.log1p(squares),
        )


def _distances(white: Vectors, firsts: Sequence[int]) -> Vectors:
    """(C, F, E) and the first frames of S segments to (S, C): how far each is from what is usual in the clip."""
    lengths = np.diff([*firsts, white.shape[1]])
    means = np.add.reduceat(white, firsts, axis=1) / lengths[:, None]  # (C, S, E)
    usual = np.median(np.repeat(means, lengths, axis=1), axis=1, keepdims=True)
    distances: Vectors = np.abs(means - usual).mean(axis=2).T
    return distances
