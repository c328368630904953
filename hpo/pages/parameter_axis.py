"""The axis of a searched parameter: positions of values in its range, ticks, and values at its edges."""

import math
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.pages.formatting import number_text

EDGE_FRACTION = 0.02
"""A value lies at an edge when its distance from the edge is at most this fraction of the range."""
MAX_EXACT_TICKS = 7
"""A grid of at most this many points has a tick at every point."""


@dataclass(frozen=True, kw_only=True)
class ParameterAxis:
    """The range of a parameter, with the scale in which it is searched."""

    name: str
    low: float
    high: float
    is_log: bool = False
    step: float | None = None
    choices: tuple[str, ...] = ()
    """Only of a categorical parameter; its low and high are the first and the last index."""

    @classmethod
    def of(cls, name: str, distribution: BaseDistribution) -> "ParameterAxis":
        if isinstance(distribution, CategoricalDistribution):
            choices = tuple(str(choice) for choice in distribution.choices)
            return cls(name=name, low=0, high=len(choices) - 1, choices=choices)
        assert isinstance(distribution, FloatDistribution | IntDistribution), distribution
        step = None if distribution.log else distribution.step
        return cls(name=name, low=distribution.low, high=distribution.high, is_log=distribution.log, step=step)

    def position(self, value: Any) -> float:
        """0 at the low edge and 1 at the high edge, in the searched scale; 0.5 where the range is one point."""
        number = float(self.choices.index(str(value))) if self.choices else float(value)
        if self.low == self.high:
            return 0.5
        low, high, number = (self._scaled(x) for x in (self.low, self.high, number))
        return (number - low) / (high - low)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.is_log else value

    def ticks(self) -> list[tuple[Any, str]]:
        """Values with the text of their ticks. The two edges are always among them."""
        if self.choices:
            return [(choice, choice) for choice in self.choices]
        return [(value, number_text(value)) for value in self._tick_values()]

    def _tick_values(self) -> list[float]:
        if self.low == self.high:
            return [self.low]
        if self.step and (self.high - self.low) / self.step < MAX_EXACT_TICKS:
            return [self.low + i * self.step for i in range(round((self.high - self.low) / self.step) + 1)]
        inner = log_ticks(self.low, self.high) if self.is_log else linear_ticks(self.low, self.high)
        # Leaves out round ticks whose text would overlap that of an edge.
        inner = [value for value in inner if 0.12 < self.position(value) < 0.88]
        return [self.low, *inner, self.high]


def parameter_axes(study: optuna.Study) -> dict[str, ParameterAxis]:
    """The study's parameters in the order in which trials first sampled them; empty for a study without trials."""
    axes: dict[str, ParameterAxis] = {}
    for trial in study.get_trials(deepcopy=False):
        for name, distribution in trial.distributions.items():
            axes.setdefault(name, ParameterAxis.of(name, distribution))
    return axes


def linear_ticks(low: float, high: float, *, num_wanted: int = 5) -> list[float]:
    """Round numbers inside [low, high], 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / num_wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [i * step for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten inside [low, high]; only the powers over more than three decades."""
    factors = (1, 2, 5) if high / low <= 1000 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    # The numbers are parsed from text, because 5 * 10.0**-3 is not exactly 0.005.
    values = (float(f"{factor}e{power}") for power in powers for factor in factors)
    return [value for value in values if low <= value <= high]


def boundary_sentences(axes: dict[str, ParameterAxis], parameters: dict[str, Any]) -> list[str]:
    """One sentence for each numeric parameter of the winner that lies at an edge of its range."""
    sentences = []
    for name, value in parameters.items():
        axis = axes.get(name)
        if axis is None or axis.choices or axis.low == axis.high:
            continue
        position = axis.position(value)
        if position <= EDGE_FRACTION:
            sentences.append(_sentence(axis, value, edge="lower", repair="smaller"))
        elif position >= 1 - EDGE_FRACTION:
            sentences.append(_sentence(axis, value, edge="upper", repair="larger"))
    return sentences


def _sentence(axis: ParameterAxis, value: Any, *, edge: str, repair: str) -> str:
    span = f"{number_text(axis.low)} to {number_text(axis.high)}"
    return (
        f"{axis.name} = {number_text(value)} lies at the {edge} edge of {span}: "
        f"{repair} values were not tried and might be better."
    )
