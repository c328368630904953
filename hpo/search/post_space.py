"""The ranges in which post-processing is searched after the trials, and the points that are tried there.

Points are spread as a Latin hypercube: each parameter alone is covered evenly, however many points there are. They
come from the study's seed, so that the same trials give the same points.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from core.decision.postprocess import FUSIONS, SIGMAS, PostprocessingConfig
from core.errors import UserError
from core.model.scoring import INNOVATIONS, PAPER_SCORES

TRIAL, SCORE, THRESHOLD = "trial", "score", "threshold_sigmas"
SHORTEST_WINDOW_MS = 100.0
LONGEST_SPAN_MS = 500.0
"""The longest median, gap and shortest event that are tried where the study does not search them."""


@dataclass(frozen=True, kw_only=True)
class PostConfig:
    """The search of post-processing over kept frame scores after the trials. It trains nothing."""

    trials: int = 3
    """The best trials by validation, whose frame scores are used."""
    points: int = 2000
    """How many points are tried, the trials' own choices among them; 0 turns the search off."""

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UserError(f"post.trials must be at least 1, but got {self.trials}. post.points = 0 turns it off.")
        if self.points < 0:
            raise UserError(f"post.points must be 0 or more, but got {self.points}.")


@dataclass(frozen=True, kw_only=True)
class OwnChoice:
    """The post-processing of a trial itself, and what its kept scores allow."""

    score: str
    config: PostprocessingConfig
    num_channels: int
    num_machines: int
    clip_ms: float
    """The scored length of a clip."""

    def parameters(self, names: Sequence[str]) -> dict[str, Any]:
        """The trial's own values of the parameters `names`, without TRIAL."""
        own = {SCORE: self.score} | {name: getattr(self.config, name) for name in names if hasattr(self.config, name)}
        return {name: own[name] for name in names if name != TRIAL}


def post_space(searched: Mapping[str, BaseDistribution], owns: Mapping[int, OwnChoice]) -> dict[str, BaseDistribution]:
    """The space over these trials; it holds each trial's own choice. A range is the study's where it searches the
    parameter.

    Fusion is searched where there are several channels, sigma where there are several machines, and the trial where
    there are several trials.
    """
    any_own = next(iter(owns.values()))
    if any_own.score == INNOVATIONS:
        return _innovations_space(searched, owns)
    usual: dict[str, BaseDistribution] = {
        SCORE: CategoricalDistribution(PAPER_SCORES),
        "window_ms": _usual_windows(owns),
        THRESHOLD: _usual_range(owns, THRESHOLD, low=0.0, high=6.0),
        **{name: _usual_range(owns, name, high=LONGEST_SPAN_MS) for name in ("gap_ms", "min_event_ms", "median_ms")},
        "two_sided": CategoricalDistribution([False, True]),
    }
    if any_own.num_channels > 1:
        usual["fusion"] = CategoricalDistribution(FUSIONS)
    if any_own.num_machines > 1:
        usual["sigma"] = CategoricalDistribution(SIGMAS)
    if "baseline" in searched:  # only where the study says that faults come and go
        usual["baseline"] = searched["baseline"]
    trials: dict[str, BaseDistribution] = {TRIAL: CategoricalDistribution(list(owns))} if len(owns) > 1 else {}
    return trials | {name: searched.get(name, distribution) for name, distribution in usual.items()}


def _innovations_space(
    searched: Mapping[str, BaseDistribution], owns: Mapping[int, OwnChoice]
) -> dict[str, BaseDistribution]:
    """The threshold; where the study searches them, also the window, which statistics, and what they are compared with.
    Whether the levels of recordings are comparable is for the study to say."""
    usual: dict[str, BaseDistribution] = {
        SCORE: CategoricalDistribution([INNOVATIONS]),
        THRESHOLD: _usual_range(owns, THRESHOLD, low=0.0, high=6.0),
        **{name: searched[name] for name in ("window_ms", "statistics", "baseline") if name in searched},
    }
    trials: dict[str, BaseDistribution] = {TRIAL: CategoricalDistribution(list(owns))} if len(owns) > 1 else {}
    return trials | {name: searched.get(name, distribution) for name, distribution in usual.items()}


def _usual_windows(owns: Mapping[int, OwnChoice]) -> BaseDistribution:
    """From a tenth of a second to the length of a clip, which gives the clip's mean."""
    own = [choice.config.window_ms for choice in owns.values()]
    clip_ms = max(choice.clip_ms for choice in owns.values())
    return FloatDistribution(min(SHORTEST_WINDOW_MS, *own), max(SHORTEST_WINDOW_MS, clip_ms, *own), log=True)


def _usual_range(owns: Mapping[int, OwnChoice], name: str, *, low: float = 0.0, high: float) -> BaseDistribution:
    own = [getattr(choice.config, name) for choice in owns.values()]
    return FloatDistribution(min(low, *own), max(high, *own))


def draw(space: Mapping[str, BaseDistribution], count: int, *, seed: int) -> list[dict[str, Any]]:
    """`count` points of the space."""
    random = np.random.default_rng(seed)
    columns = {
        name: [value_at(distribution, place) for place in (random.permutation(count) + random.random(count)) / count]
        for name, distribution in space.items()
    }
    return [{name: column[index] for name, column in columns.items()} for index in range(count)]


def value_at(distribution: BaseDistribution, place: float) -> Any:
    """The value at `place`, from 0 to 1, of a range, on the scale on which it is searched."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[min(int(place * len(distribution.choices)), len(distribution.choices) - 1)]
    assert isinstance(distribution, FloatDistribution), "post-processing has no parameters of other kinds"
    low, high = distribution.low, distribution.high
    if distribution.log:
        return min(max(math.exp(math.log(low) + place * math.log(high / low)), low), high)
    if distribution.step:
        num_steps = round((high - low) / distribution.step)
        return low + min(int(place * (num_steps + 1)), num_steps) * distribution.step
    return low + place * (high - low)


def num_values(distribution: BaseDistribution) -> int | float:
    """How many values a range holds; infinite where it has no steps."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, FloatDistribution), "post-processing has no parameters of other kinds"
    span = distribution.high - distribution.low
    if distribution.step:
        return round(span / distribution.step) + 1
    return math.inf if span else 1


def distance(space: Mapping[str, BaseDistribution], one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """The distance of two points: the sum over their parameters of the share of the range between them. Two choices
    that differ are a whole range apart."""
    return sum(
        _gap(distribution, one[name], other[name])
        for name, distribution in space.items()
        if name in one and name in other
    )


def _gap(distribution: BaseDistribution, one: Any, other: Any) -> float:
    if isinstance(distribution, CategoricalDistribution):
        return float(one != other)
    assert isinstance(distribution, FloatDistribution)
    low, high, one, other = (
        math.log(value) if distribution.log else value for value in (distribution.low, distribution.high, one, other)
    )
    return abs(one - other) / (high - low) if high > low else 0.0
