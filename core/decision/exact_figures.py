"""Figures with intervals that hold for few recordings, by Clopper and Pearson, and the test of chance.

Clips of one recording are not independent, so a recording counts as one draw, however many clips it has. A recording
with clips of both labels counts once in each rate, with its clips of that label; its two scores are not independent, so
intervals of figures that compare both classes count it as one, and the test (chance.py) has it once.

N clips; scores (N,) in sigmas; is_anomalous (N,) bool. What is not defined is NaN.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from core.decision.chance import ChanceTest, chance_test, scores_of_recordings
from core.decision.metrics import BoolArray, FloatArray, auc

LEVEL = 0.95
"""Of all intervals, which have two sides."""

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class RecordingCounts:
    """The recordings of one label, and how many of them are flagged, by the rule of whole_recordings.py."""

    num_recordings: int
    num_flagged: int

    @property
    def interval(self) -> Interval:
        """Of the share that is flagged."""
        return share_interval(self.num_flagged / max(1, self.num_recordings), self.num_recordings)


@dataclass(frozen=True, kw_only=True)
class ExactFigures:
    """The rates of a detector on a set of clips, with intervals in which the unit is the recording."""

    recall: float
    """Share of the anomalous clips that is flagged."""
    recall_interval: Interval
    false_alarms: float
    """Share of the normal clips that is flagged."""
    false_alarms_interval: Interval
    f1_interval: Interval
    auc_interval: Interval
    chance: ChanceTest
    anomalous: RecordingCounts
    normal: RecordingCounts


def exact_figures(
    scores: FloatArray, is_anomalous: BoolArray, recording_ids: Sequence[str], threshold: float, *, faults_last: bool
) -> ExactFigures:
    """All of them for clips that are flagged where their score is at least the threshold.

    `faults_last` says which rule makes one decision of a recording's clips.
    """
    takes, flagged = np.asarray(recording_ids), scores >= threshold
    recordings = {label: _by_take(scores, takes, is_anomalous == label) for label in (True, False)}
    counts = {
        label: RecordingCounts(
            num_recordings=len(each),
            num_flagged=int(np.sum(scores_of_recordings(list(each.values()), faults_last=faults_last) >= threshold)),
        )
        for label, each in recordings.items()
    }
    num_anomalous, num_normal = counts[True].num_recordings, counts[False].num_recordings
    recall, false_alarms = (_share(flagged[is_anomalous == label]) for label in (True, False))
    recall_interval = share_interval(recall, num_anomalous)
    false_alarms_interval = share_interval(false_alarms, num_normal)
    return ExactFigures(
        recall=recall,
        recall_interval=recall_interval,
        false_alarms=false_alarms,
        false_alarms_interval=false_alarms_interval,
        f1_interval=f1_interval(recall_interval, false_alarms_interval, prevalence=_share(is_anomalous)),
        auc_interval=share_interval(
            auc(scores, is_anomalous), num_independent_pairs(takes[is_anomalous], takes[~is_anomalous])
        ),
        chance=chance_test(recordings[True], recordings[False]),
        anomalous=counts[True],
        normal=counts[False],
    )


def _by_take(scores: FloatArray, takes: np.ndarray, rows: BoolArray) -> dict[str, FloatArray]:
    """The scores of the clips in `rows`, by recording."""
    return {str(take): scores[rows & (takes == take)] for take in np.unique(takes[rows])}


def _share(flags: BoolArray) -> float:
    return float(flags.mean()) if len(flags) else math.nan


def share_interval(share: float, num_units: float, *, level: float = LEVEL) -> Interval:
    """The exact interval of Clopper and Pearson (1934) for a share that was seen in independent units.

    `share * num_units` need not be whole. For a share of clips in R recordings, R units give the interval that holds
    where the clips of a recording are all alike, and a wider one than needed where they are not (Korn and Graubard
    1998). For an AUC the units are `num_independent_pairs`: the AUC is a mean over all ways to pair the recordings, and
    each way is that many independent draws (Hoeffding 1963). NaN where the share is, or without units.
    """
    if math.isnan(share) or num_units <= 0:
        return math.nan, math.nan
    tail, hits = (1 - level) / 2, share * num_units
    low = stats.beta.ppf(tail, hits, num_units - hits + 1) if hits > 0 else 0.0
    high = stats.beta.ppf(1 - tail, hits + 1, num_units - hits) if hits < num_units else 1.0
    return float(low), float(high)


def num_independent_pairs(anomalous: Iterable[str], normal: Iterable[str]) -> int:
    """The largest number of pairs of an anomalous and a normal recording in which no recording occurs twice.

    That is the smaller number of recordings where no recording is of both labels. Where each is, as with spliced and
    injected faults, it is half of them.
    """
    anomalous, normal = set(anomalous), set(normal)
    return min(len(anomalous), len(normal), len(anomalous | normal) // 2)


def f1_of_rates(recall: float, false_alarms: float, *, prevalence: float) -> float:
    """F1 of a detector with these rates on clips of this prevalence; NaN without a clip of either label."""
    if not 0 < prevalence < 1:
        return math.nan
    hits, alarms = prevalence * recall, (1 - prevalence) * false_alarms
    return 2 * hits / (hits + prevalence + alarms)


def f1_interval(recall: Interval, false_alarms: Interval, *, prevalence: float) -> Interval:
    """From the worst of both rates to the best of both: F1 rises with recall and falls with false alarms.

    It holds where both intervals do, so each end is beyond the truth in at most 5 % of cases, and in fewer as a rule.
    """
    low = f1_of_rates(recall[0], false_alarms[1], prevalence=prevalence)
    return low, f1_of_rates(recall[1], false_alarms[0], prevalence=prevalence)
