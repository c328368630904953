"""The threshold that keeps a promise about false alarms, from healthy sound that chose nothing.

A false alarm is a clip of healthy sound whose score reaches the threshold. K healthy recordings with N clips are heard;
`rate` is the share of clips that may raise one. Three rules set the threshold, each with its own guarantee:

    conformal   the mean over new recordings is at most the rate, whatever the scores' distribution. It needs
                1 / rate - 1 recordings. Vovk, Gammerman and Shafer 2005; as a test of outliers, Bates and others 2023;
                for clips in recordings, Lee, Barber and Willett 2023
    counted     with 95 % confidence the rate on such sound is at most the promised one: alarms are counted as Clopper
                and Pearson do. It needs 3 / rate clips, which is the rule of three. Wilks 1941
    tail        no guarantee: a generalised Pareto distribution fitted to the highest scores (Pickands 1975, Balkema and
                de Haan 1974), for rates that are rarer than what was heard
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from core.decision.healthy_scores import HealthyScores, design_effect
from core.decision.metrics import FloatArray
from core.errors import UserError

CONFIDENCE = 0.95
RULE_OF_THREE = 3.0
"""Expected alarms of which none is heard in 5 % of cases: -ln(0.05), rounded up."""
MIN_EXCESSES = 10
"""Scores in the tail from which its shape is fitted. With fewer it is that of an exponential distribution."""
MIN_CLIPS = 4
"""Below it there is no tail to fit."""
MARGIN = 1e-5
"""Between a score, which is kept to six digits, and the threshold above it, relative to the score."""


@dataclass(frozen=True, kw_only=True)
class ThresholdConfig:
    """The promise that sets the winner's threshold after the choice. One of the two is given."""

    false_alarms: float | None = None
    """Share of the healthy clips that may raise a false alarm."""
    false_alarms_per_hour: float | None = None
    """False alarms in an hour of healthy sound."""

    def __post_init__(self) -> None:
        if (self.false_alarms is None) == (self.false_alarms_per_hour is None):
            raise UserError("threshold must hold one of false_alarms and false_alarms_per_hour. Give one of them.")
        if self.false_alarms is not None and not 0 < self.false_alarms < 1:
            raise UserError(f"threshold.false_alarms must be above 0 and below 1, but got {self.false_alarms:g}.")
        if self.false_alarms_per_hour is not None and not 0 < self.false_alarms_per_hour < math.inf:
            raise UserError(
                f"threshold.false_alarms_per_hour must be above 0 and finite, but got {self.false_alarms_per_hour:g}."
            )

    def rate(self, seconds_a_clip: float) -> float:
        """The share of clips. UserError for more alarms in an hour than there are clips."""
        if self.false_alarms is not None:
            return self.false_alarms
        assert self.false_alarms_per_hour is not None
        rate = self.false_alarms_per_hour * seconds_a_clip / 3600
        if rate >= 1:
            raise UserError(
                f"The false alarms per hour must be fewer than the clips of an hour ({3600 / seconds_a_clip:g}), "
                f"but got {self.false_alarms_per_hour:g}."
            )
        return rate

    @property
    def words(self) -> str:
        if self.false_alarms is not None:
            return f"{100 * self.false_alarms:.3g} % of healthy clips"
        return f"{self.false_alarms_per_hour:.3g} false alarms per hour"


@dataclass(frozen=True, kw_only=True)
class PromisedThreshold:
    """A threshold, the rule that set it, and what that guarantees."""

    threshold_sigmas: float
    is_promise: bool
    rule: Literal["conformal", "counted", "tail"]
    sentence: str


def promised_threshold(healthy: HealthyScores, config: ThresholdConfig) -> PromisedThreshold | None:
    """The lowest threshold that keeps the promise; where too little sound is heard for one, an estimate of it.

    None where too little is heard for an estimate. UserError for more alarms in an hour than there are clips.
    """
    rate = config.rate(healthy.seconds_a_clip)
    if config.false_alarms is not None:
        threshold, needs = conformal_threshold(healthy, rate), f"{takes_needed(rate)} healthy recordings"
        rule: Literal["conformal", "counted"] = "conformal"
    else:
        assert config.false_alarms_per_hour is not None
        threshold, needs = counted_threshold(healthy, rate), _hours_words(RULE_OF_THREE / config.false_alarms_per_hour)
        rule = "counted"
    if threshold is not None:
        sentence = _promise(config, rule, healthy, needs)
        return PromisedThreshold(threshold_sigmas=threshold, is_promise=True, rule=rule, sentence=sentence)
    threshold = tail_threshold(healthy, rate)
    if threshold is None:
        return None
    sentence = (
        f"An estimate and not a promise: {config.words}, from a generalised Pareto tail of {_heard(healthy)}. "
        f"A promise needs {needs}{' that do not depend on each other' if rule == 'counted' else ''}."
    )
    return PromisedThreshold(threshold_sigmas=threshold, is_promise=False, rule="tail", sentence=sentence)


def _promise(config: ThresholdConfig, rule: str, healthy: HealthyScores, needs: str) -> str:
    if rule == "conformal":
        return (
            f"A promise: at most {config.words} raise a false alarm, in the mean over new recordings that are like the "
            f"{_heard(healthy)} (conformal). It needs {needs}."
        )
    return (
        f"A promise: at most {config.words}, with {100 * CONFIDENCE:g} % confidence, on sound like the "
        f"{_heard(healthy)} (alarms counted). It needs {needs} that do not depend on each other."
    )


def _heard(healthy: HealthyScores) -> str:
    return f"{healthy.num_clips} healthy clips of {healthy.num_takes} recordings ({_hours_words(healthy.hours)})"


def _hours_words(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:.3g} min"
    return f"{hours:.3g} h" if hours < 100 else f"{hours:,.0f} h"


def takes_needed(rate: float) -> int:
    """The fewest healthy recordings with which a conformal promise of this rate is possible."""
    return max(1, math.ceil(1 / rate - 1 - 1e-9))


def conformal_threshold(healthy: HealthyScores, rate: float) -> float | None:
    """The lowest threshold at which the conformal p-value of a clip that reaches it is at most `rate`.

    The p-value is (1 + the sum over recordings of the share of their clips with as high a score) / (1 + K). None where
    no clip can have such a p-value: with fewer than 1 / rate - 1 recordings.
    """
    if healthy.num_takes < takes_needed(rate):
        return None
    scores, shares = healthy.highest_first()
    p_values = (1 + np.cumsum(shares)) / (1 + healthy.num_takes)
    return _above(scores, int(np.sum(p_values <= rate + 1e-9)))


def counted_threshold(healthy: HealthyScores, rate: float) -> float | None:
    """The lowest threshold at which the upper bound of the rate of false alarms is at most `rate`.

    The bound is Clopper and Pearson's with one side, over the number of clips that do not depend on each other. None
    where even no alarm at all would leave the bound above the rate, so below 3 expected alarms.
    """
    num_clips = healthy.num_clips
    num_independent = num_clips / design_effect(healthy) if num_clips else 0.0
    if rate * num_independent < RULE_OF_THREE:
        return None
    alarms = np.arange(num_clips) * num_independent / num_clips
    bounds = stats.beta.ppf(CONFIDENCE, alarms + 1, num_independent - alarms)
    return _above(healthy.highest_first()[0], int(np.sum(bounds <= rate)) - 1)


def _above(scores: FloatArray, num_alarms: int) -> float:
    """The lowest threshold with at most so many alarms among (N,) scores, the highest of which come first."""
    highest_silent = scores[min(num_alarms, len(scores) - 1)]
    return float(highest_silent + MARGIN * max(1.0, abs(highest_silent)))


def tail_threshold(healthy: HealthyScores, rate: float) -> float | None:
    """The score that a share of `rate` exceeds, from a generalised Pareto distribution of the excesses over a high one.

    The tail is the highest tenth of the clips, or more where the rate or few clips ask for it, and at most half. Its
    shape is not below 0: few scores suggest an end of the distribution that is not there. Where the rate is below one
    of the clips, the threshold is above all of them. None with few clips.
    """
    scores, shares = healthy.highest_first()
    num_clips = len(scores)
    num_excesses = min(max(MIN_EXCESSES, num_clips // 10, math.ceil(2 * rate * num_clips)), num_clips // 2)
    if num_clips < MIN_CLIPS:
        return None
    start = float(scores[num_excesses])
    excesses = scores[:num_excesses] - start
    share_in_tail = float(np.sum(shares[:num_excesses])) / healthy.num_takes
    shape, scale = 0.0, float(excesses.mean())
    if not scale > 0:  # all scores are the same
        return _above(scores, 0)
    if num_excesses >= MIN_EXCESSES:
        fitted_shape, _, fitted_scale = stats.genpareto.fit(excesses, floc=0.0)
        if fitted_shape > 0:
            shape, scale = float(fitted_shape), float(fitted_scale)
    quantile = stats.genpareto.isf(min(1.0, rate / share_in_tail), shape, loc=start, scale=scale)
    return max(float(quantile), _above(scores, 0)) if rate * num_clips < 1 else float(quantile)
