"""Could chance rank recordings as a detector does? Mann and Whitney's test, and the sign test, one score a recording.

Mann and Whitney compare anomalous recordings with others that are normal. The sign test compares recordings of both
labels, those that are faulty in part or have a healthy copy, with themselves. A recording is in one test, and once in
it, because its two scores are not independent.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from core.decision.metrics import FloatArray
from core.decision.whole_recordings import clips_needed, score_of_recording

SIGNIFICANT = 0.05
"""A detector could be chance where its p-value is above this."""
MAX_EXACT_PAIRS = 10_000
"""Pairs of recordings up to which the p-value is exact. The exact distribution of 40,000 takes 16 s."""


@dataclass(frozen=True, kw_only=True)
class ChanceTest:
    """What the test that the detector is no better than chance has found."""

    p_value: float
    is_paired: bool
    """Whether it compares recordings with themselves."""
    num_anomalous: int
    """Recordings that it compares."""
    num_normal: int
    """Likewise; the same ones where it is paired."""


def chance_test(anomalous: Mapping[str, FloatArray], normal: Mapping[str, FloatArray]) -> ChanceTest:
    """Of clip scores by recording, those of anomalous and those of normal clips.

    The test is the one by which a perfect detector could be told from chance more surely. So the numbers of recordings
    choose it, and no score does.
    """
    of_both = sorted(anomalous.keys() & normal.keys())
    wholly_normal = sorted(normal.keys() - anomalous.keys())
    numbers = len(anomalous), len(wholly_normal)
    is_paired = smallest_p_value(len(of_both), len(of_both), is_paired=True) < smallest_p_value(*numbers)
    one, other = (of_both, of_both) if is_paired else (sorted(anomalous), wholly_normal)
    p_value = (paired_p_value if is_paired else chance_p_value)(
        scores_of_recordings([anomalous[take] for take in one], faults_last=True),
        scores_of_recordings([normal[take] for take in other], faults_last=True),
    )
    return ChanceTest(p_value=p_value, is_paired=is_paired, num_anomalous=len(one), num_normal=len(other))


def scores_of_recordings(recordings: Sequence[FloatArray], *, faults_last: bool) -> FloatArray:
    """(R,) from the scores of each recording's clips.

    The test of chance compares medians whatever the faults are, because the highest score would favour recordings of
    many clips: where all sound alike, the median of any odd number of clips is as often above a single clip as below.
    """
    return np.array(
        [score_of_recording(clips.tolist(), clips_needed(len(clips), faults_last=faults_last)) for clips in recordings]
    )


def chance_p_value(anomalous: FloatArray, normal: FloatArray) -> float:
    """P that chance ranks the anomalous recordings so high: Mann and Whitney's test with one side.

    Equal scores count against the detector, because the exact distribution is that of scores without ties (scipy
    rounds U there, which gives p-values that are too small). Beyond MAX_EXACT_PAIRS pairs the distribution is normal.
    1 where a class is missing or a score is NaN.
    """
    num_recordings, num_pairs = len(anomalous) + len(normal), len(anomalous) * len(normal)
    if not num_pairs or np.isnan(anomalous).any() or np.isnan(normal).any():
        return 1.0
    is_normal = np.arange(num_recordings) < len(normal)
    ranks = np.lexsort((is_normal, np.append(normal, anomalous))).argsort()  # a normal one above its equals
    method = "exact" if num_pairs <= MAX_EXACT_PAIRS else "asymptotic"
    test = stats.mannwhitneyu(ranks[~is_normal], ranks[is_normal], alternative="greater", method=method)
    return float(test.pvalue)


def paired_p_value(anomalous: FloatArray, normal: FloatArray) -> float:
    """P that chance ranks so many recordings above themselves without their fault: the sign test with one side.

    Both have a score of the same recordings in the same order. Equal scores count against the detector. 1 without any
    recording, and where a score is NaN.
    """
    if not len(anomalous) or np.isnan(anomalous).any() or np.isnan(normal).any():
        return 1.0
    return float(stats.binom.sf(np.sum(anomalous > normal) - 1, len(anomalous), 0.5))


def smallest_p_value(num_anomalous: int, num_normal: int, *, is_paired: bool = False) -> float:
    """The p-value of a detector that separates so many recordings perfectly, or each from itself."""
    return 0.5**num_anomalous if is_paired else 1 / math.comb(num_anomalous + num_normal, num_anomalous)


def enough_recordings(num_anomalous: int, num_normal: int, *, is_paired: bool = False) -> tuple[int, int]:
    """The smallest numbers, none below the given ones, with which a perfect detector is told from chance.

    The class that has fewer recordings grows first; both where every recording is of both labels.
    """
    while smallest_p_value(num_anomalous, num_normal, is_paired=is_paired) > SIGNIFICANT:
        if is_paired:
            num_anomalous, num_normal = num_anomalous + 1, num_normal + 1
        elif num_anomalous <= num_normal:
            num_anomalous += 1
        else:
            num_normal += 1
    return num_anomalous, num_normal
