"""How good decisions about clips are: F1, AUC, pAUC, and figures to compare them with.

N clips; scores (N,) in sigmas, where -inf means that no event survives at any threshold; is_anomalous (N,) bool.
Anomalous is the positive class. A metric that is not defined is NaN: an area with only one class, or with a score that
is NaN.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr
from scipy.stats import rankdata

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MAX_FALSE_POSITIVE_RATE = 0.1
"""pAUC is the standardised area up to this rate (McClish 1989), as in DCASE's task 2."""
SCORE_BLUR = 0.3
"""Standard deviation of a clip's score in expected F1, on the scale of asinh: 0.3 sigmas near 0, 30 % of a high score.
Chosen on five simulated cars, on which 0.1 to 0.5 chose about as well, and 0.8 worse."""


@dataclass(frozen=True, kw_only=True)
class ClipMetrics:
    """The figures of a detector on a set of clips, and of flagging everything."""

    f1: float
    """At the trial's own threshold."""
    precision: float
    recall: float
    auc: float
    pauc: float
    prevalence: float
    """Share of the clips that is anomalous."""
    f1_flag_everything: float
    """F1 of calling every clip anomalous."""
    num_clips: int


def f1_score(flagged: BoolArray, is_anomalous: BoolArray) -> float:
    """2 TP / (2 TP + FP + FN); 0 where nothing is flagged and nothing is anomalous."""
    true_positives = int(np.sum(flagged & is_anomalous))
    total = int(flagged.sum() + is_anomalous.sum())
    return 2 * true_positives / total if total else 0.0


def expected_f1(scores: FloatArray, is_anomalous: BoolArray, threshold: float, *, blur: float = SCORE_BLUR) -> float:
    """F1 with the expected number of flagged clips, where each clip's score could be a little higher or lower.

    The score is normally distributed on the scale of asinh, with the standard deviation `blur`. A clip near the
    threshold counts in part, so figures on few clips depend less on which side of it each one happens to lie. A score
    of -inf or NaN is never flagged. 0 where nothing is flagged and nothing is anomalous.
    """
    return _f1_of(expected_flags(scores, threshold, blur=blur), is_anomalous)


def _f1_of(flagged: FloatArray, is_anomalous: BoolArray) -> float:
    """Of how much each clip counts as flagged."""
    total = float(flagged.sum() + is_anomalous.sum())
    return 2 * float(flagged[is_anomalous].sum()) / total if total else 0.0


def expected_flags(scores: FloatArray, threshold: float, *, blur: float = SCORE_BLUR) -> FloatArray:
    """(N,) how likely each clip is flagged, as in the expected F1."""
    flags: FloatArray = np.nan_to_num(ndtr((np.arcsinh(scores) - np.arcsinh(threshold)) / blur))
    return flags


def balanced_f1(scores: FloatArray, is_anomalous: BoolArray, threshold: float) -> float:
    """Expected F1 as if there were at least as many normal clips as anomalous ones.

    Where most clips are anomalous, as where most healthy takes are trained on, flagging everything has a high F1: 0.8
    of 2 anomalous clips for each normal one, where it has 2 / 3 of as many.
    """
    return _f1_of(expected_flags(scores, threshold) * balanced_weights(is_anomalous), is_anomalous)


def balanced_weights(is_anomalous: BoolArray) -> FloatArray:
    """(N,) how much each clip counts: 1, and a normal one more where there are fewer of them, so that both labels count
    alike."""
    num_anomalous, num_normal = int(is_anomalous.sum()), int((~is_anomalous).sum())
    return np.where(is_anomalous, 1.0, max(1.0, num_anomalous / max(1, num_normal)))


def equal_weights(is_anomalous: BoolArray) -> FloatArray:
    return np.ones(len(is_anomalous))


def plain_flags(scores: FloatArray, threshold: float) -> FloatArray:
    """(N,) 1 for each clip whose score is at least the threshold."""
    return (scores >= threshold).astype(float)


def plain_f1(scores: FloatArray, is_anomalous: BoolArray, threshold: float) -> float:
    """F1 where a clip is flagged whose score is at least the threshold."""
    return f1_score(scores >= threshold, is_anomalous)


F1_BY_NAME: Mapping[str, Callable[[FloatArray, BoolArray, float], float]] = {
    "f1": plain_f1,
    "expected_f1": expected_f1,
    "balanced_f1": balanced_f1,
}
"""What a study can maximise."""
FLAGS_BY_NAME: Mapping[str, Callable[[FloatArray, float], FloatArray]] = {
    "f1": plain_flags,
    "expected_f1": expected_flags,
    "balanced_f1": expected_flags,
}
"""How much of each clip is flagged in each of F1_BY_NAME."""
WEIGHTS_BY_NAME: Mapping[str, Callable[[BoolArray], FloatArray]] = {
    "f1": equal_weights,
    "expected_f1": equal_weights,
    "balanced_f1": balanced_weights,
}
"""How much each clip counts in each of F1_BY_NAME."""


def auc(scores: FloatArray, is_anomalous: BoolArray) -> float:
    """Area under the ROC curve, ties counting half (Mann and Whitney's U); NaN where one class is missing."""
    num_anomalous, num_normal = int(is_anomalous.sum()), int((~is_anomalous).sum())
    if not num_anomalous or not num_normal:
        return float("nan")
    rank_sum = float(rankdata(scores)[is_anomalous].sum())
    return (rank_sum - num_anomalous * (num_anomalous + 1) / 2) / (num_anomalous * num_normal)


def partial_auc(scores: FloatArray, is_anomalous: BoolArray) -> float:
    """AUC up to MAX_FALSE_POSITIVE_RATE, standardised so that chance is 0.5; NaN where one class is missing."""
    once = np.ones((1, len(scores)))
    return float(weighted_areas(scores, is_anomalous, once, max_rate=MAX_FALSE_POSITIVE_RATE)[0])


def weighted_areas(
    scores: FloatArray, is_anomalous: BoolArray, weights: FloatArray, *, max_rate: float = 1.0
) -> FloatArray:
    """(R,) areas under ROC curves up to a false positive rate, in which clip i counts weights[r, i] times.

    Areas are standardised (McClish 1989), so that chance is 0.5 and the best is 1; with `max_rate` 1 they are the AUC
    itself. NaN in draws in which a class has no weight, and in all draws where a score is NaN.
    """
    if np.isnan(scores).any():
        return np.full(len(weights), np.nan)
    levels, level_of_clip = np.unique(-scores, return_inverse=True)  # the highest score first
    is_at = level_of_clip[:, None] == np.arange(len(levels))  # (N, L)
    false_rates, true_rates = (
        _rates(weights @ (is_at & of_class[:, None])) for of_class in (~is_anomalous, is_anomalous)
    )
    rises, widths = np.diff(true_rates), np.diff(false_rates)  # (R, L): straight lines from level to level
    inside = np.clip(max_rate - false_rates[:, :-1], 0, widths)  # how much of a line's width lies within the rate
    slopes = np.divide(rises, widths, out=np.zeros_like(rises), where=widths > 0)
    area = np.sum(inside * (true_rates[:, :-1] + slopes * inside / 2), axis=1)
    smallest = max_rate**2 / 2
    standardised: FloatArray = (1 + (area - smallest) / (max_rate - smallest)) / 2
    return standardised


def _rates(weights: FloatArray) -> FloatArray:
    """(R, L) weights of levels to (R, L + 1) cumulative shares from 0 to 1; NaN where all weights are 0."""
    sums = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, axis=1)], axis=1)
    totals = sums[:, -1:]
    rates: FloatArray = np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0)
    return rates


def clip_metrics(scores: FloatArray, is_anomalous: BoolArray, threshold: float) -> ClipMetrics:
    """All figures at once; a clip is flagged where its score is at least the threshold."""
    flagged = scores >= threshold
    hits = float(np.sum(flagged & is_anomalous))
    return ClipMetrics(
        f1=f1_score(flagged, is_anomalous),
        precision=hits / float(flagged.sum()) if flagged.any() else 0.0,
        recall=hits / float(is_anomalous.sum()) if is_anomalous.any() else 0.0,
        auc=auc(scores, is_anomalous),
        pauc=partial_auc(scores, is_anomalous),
        prevalence=float(is_anomalous.mean()) if len(is_anomalous) else float("nan"),
        f1_flag_everything=f1_score(np.ones_like(is_anomalous), is_anomalous),
        num_clips=len(scores),
    )


def best_f1(scores: FloatArray, is_anomalous: BoolArray) -> float:
    """The highest F1 that any threshold reaches on these clips. It is optimistic, because the labels choose it."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(is_anomalous[order])
    is_last_of_its_score = np.append(scores[order][1:] != scores[order][:-1], True)  # equal scores are flagged together
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + is_anomalous.sum())
    return float(f1[is_last_of_its_score & np.isfinite(scores[order])].max(initial=0.0))
