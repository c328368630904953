"""How much each validation take adds to an F1, from which the standard error of a difference between two F1 follows.

    F1 = 2 * hits / (flagged + anomalous)     each a sum over takes

Two detectors that judged the same takes are compared take by take, so that effects of a take that both share cancel.
K takes, in the order of their names.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from core.decision.metrics import FLAGS_BY_NAME, WEIGHTS_BY_NAME, BoolArray, FloatArray

DECIMALS = 6
"""Of the counts that a trial keeps."""


@dataclass(frozen=True, kw_only=True)
class TakeCounts:
    """Clips of each take: (K,) each. Flagged clips are counted in part where the objective is the expected F1, and
    normal clips count more than once where it is balanced."""

    hits: tuple[float, ...]
    """Anomalous clips that are flagged."""
    flagged: tuple[float, ...]
    anomalous: tuple[int, ...]
    clips: tuple[float, ...]

    @classmethod
    def of(
        cls,
        scores: FloatArray,
        is_anomalous: BoolArray,
        recording_ids: Sequence[str],
        *,
        threshold: float,
        objective: str,
    ) -> "TakeCounts":
        """From (N,) scores of clips. `objective` is a name of F1_BY_NAME."""
        _, take_of_clip = np.unique(np.array(recording_ids), return_inverse=True)
        weights = WEIGHTS_BY_NAME[objective](is_anomalous)
        flags = FLAGS_BY_NAME[objective](scores, threshold) * weights
        summed = (flags * is_anomalous, flags, is_anomalous.astype(float), weights)
        hits, flagged, anomalous, clips = (np.bincount(take_of_clip, weights=each) for each in summed)
        return cls(
            hits=tuple(round(float(value), DECIMALS) for value in hits),
            flagged=tuple(round(float(value), DECIMALS) for value in flagged),
            anomalous=tuple(int(value) for value in anomalous),
            clips=tuple(float(value) for value in clips),
        )

    @classmethod
    def of_lists(cls, lists: Mapping[str, Sequence[float]]) -> "TakeCounts":
        """From what `as_lists` gave."""
        return cls(
            hits=tuple(lists["hits"]),
            flagged=tuple(lists["flagged"]),
            anomalous=tuple(int(value) for value in lists["anomalous"]),
            clips=tuple(lists["clips"]),
        )

    def as_lists(self) -> dict[str, list[float]]:
        return {name: list(values) for name, values in asdict(self).items()}

    @property
    def f1_flag_everything(self) -> float:
        """What a detector that flags every clip has; 0 without a clip."""
        num_anomalous, num_clips = sum(self.anomalous), sum(self.clips)
        return 2 * num_anomalous / (num_anomalous + num_clips) if num_clips else 0.0

    @property
    def influences(self) -> FloatArray:
        """(K,) by how much F1 rises to first order when a take counts more. They sum to 0."""
        hits, flagged, anomalous = (np.array(each, float) for each in (self.hits, self.flagged, self.anomalous))
        total = float((flagged + anomalous).sum())
        if not total:
            return np.zeros(len(hits))
        f1 = 2 * hits.sum() / total
        influences: FloatArray = (2 * hits - f1 * (flagged + anomalous)) / total
        return influences


def standard_error(one: Sequence[TakeCounts], other: Sequence[TakeCounts], *, num_seeds: int) -> float | None:
    """The standard error over takes of the difference between two means of F1 over `num_seeds` trainings.

    It is that of the linearised difference (the infinitesimal jackknife), within healthy and within anomalous takes.
    A training that failed is not among the counts, and its F1 is 0 on all takes. A class of one take adds nothing,
    because it does not show how takes vary. None where the two did not judge the same takes, or nothing is known.
    """
    known = [*one, *other]
    if not one or not other or any(each.anomalous != known[0].anomalous for each in known):
        return None
    means = [np.sum([counts.influences for counts in side], axis=0) / num_seeds for side in (one, other)]
    difference, is_anomalous = means[0] - means[1], np.array(known[0].anomalous) > 0
    return math.sqrt(sum(_sum_of_squares(difference[rows]) for rows in (is_anomalous, ~is_anomalous)))


def _sum_of_squares(values: FloatArray) -> float:
    """The variance of a sum of independent values, estimated from how they vary."""
    num = len(values)
    return float(num / (num - 1) * ((values - values.mean()) ** 2).sum()) if num > 1 else 0.0
