"""Turns a trial into an experiment configuration. This is the only caller of suggest_*.

Parameters are independent and have fixed ranges: no range depends on another value. So the sampler sees a box,
parameter importance is well defined, and no trial is rejected. Before trial 0 the corners of the box are checked, which
shows that every point is a network within the study's limits.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from core.errors import UserError
from core.experiment import ExperimentConfig, receptive_field_samples
from core.model.scoring import INNOVATIONS
from core.model.wavenet import describe

PARAMETERS: dict[str, tuple[str, str]] = {
    "dilation_depth": ("network", "dilation_depth"),
    "residual_channels": ("network", "residual_channels"),
    "receptive_field_ms": ("network", "receptive_field_ms"),
    "learning_rate": ("training", "learning_rate"),
    "weight_decay": ("training", "weight_decay"),
    "window_ms": ("postprocessing", "window_ms"),
    "threshold_sigmas": ("postprocessing", "threshold_sigmas"),
    "skip_channels": ("network", "skip_channels"),
    "sample_rate_hz": ("front_end", "sample_rate_hz"),
    "level": ("front_end", "level"),
    "pre_emphasis": ("front_end", "pre_emphasis"),
    "mu_law_levels": ("front_end", "mu_law_levels"),
    "score": ("scoring", "score"),
    "two_sided": ("postprocessing", "two_sided"),
    "fusion": ("postprocessing", "fusion"),
    "sigma": ("postprocessing", "sigma"),
    "baseline": ("postprocessing", "baseline"),
    "statistics": ("postprocessing", "statistics"),
    "median_ms": ("postprocessing", "median_ms"),
    "gap_ms": ("postprocessing", "gap_ms"),
    "min_event_ms": ("postprocessing", "min_event_ms"),
}
"""What can be searched: the parameter's name, and its section and key in an ExperimentConfig."""

TRAINED = ("front_end", "network", "training")
"""Sections of a configuration whose parameters need a training of their own."""
SHAPING = ("sample_rate_hz", "mu_law_levels")
"""Parameters of the front end that change the network's layers and weights, as all parameters of the network do."""
UNJUDGED_BY_INJECTED_FAULTS = ("statistics",)
"""Parameters that keep their default where faults are injected. Those hardly change how loud a machine is, which real
ones may: on a fan the statistics that injected faults chose lost up to 0.19 of the AUC (docs/quality.md, "Without a
real fault")."""
MAX_RATES = 16
"""Each rate needs its own decoded copy of the data."""

RANGE_KEYS = ("low", "high", "step", "log", "choices")


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """A box of independent parameters around a default configuration."""

    distributions: Mapping[str, BaseDistribution]
    default: ExperimentConfig

    @classmethod
    def parse(cls, ranges: Mapping[str, Mapping[str, Any]], default: ExperimentConfig) -> "SearchSpace":
        """Parses the ranges of a study file. UserError for a name, a range or a default that does not fit."""
        if not ranges:
            raise UserError("space must hold at least one parameter, but is empty.")
        distributions = {name: _distribution(name, given, default) for name, given in ranges.items()}
        space = cls(distributions=distributions, default=default)
        for name, value in space.default_parameters.items():
            if not space.holds(name, value):
                raise UserError(
                    f"The default of {name} must lie in its range ({describe_range(distributions[name])}), but is "
                    f"{value!r} in [{PARAMETERS[name][0]}]. Widen the range or move the default."
                )
        space._check_baseline()
        return space

    def _check_baseline(self) -> None:
        """UserError where a trial could compare a score with both baselines that has only one at a time."""
        scores = self._values_of("score", self.default.scoring.score)
        if "both" in self._values_of("baseline", self.default.postprocessing.baseline) and scores != {INNOVATIONS}:
            raise UserError(
                f"baseline must be machine or clip where the score can be another than {INNOVATIONS}, but can be both. "
                f"Fix the score with [scoring] score = '{INNOVATIONS}', or leave both out."
            )

    def _values_of(self, name: str, default: str) -> set[Any]:
        """All values that a trial can have of a parameter of choices."""
        distribution = self.distributions.get(name)
        return set(distribution.choices) if isinstance(distribution, CategoricalDistribution) else {default}

    def holds(self, name: str, value: Any) -> bool:
        """Whether a value lies in the range of a searched parameter."""
        distribution = self.distributions[name]
        if isinstance(distribution, CategoricalDistribution):
            return value in distribution.choices
        return bool(distribution._contains(distribution.to_internal_repr(value)))

    @property
    def default_parameters(self) -> dict[str, Any]:
        return self.parameters_of(self.default)

    def parameters_of(self, config: ExperimentConfig) -> dict[str, Any]:
        """The values of the searched parameters in a configuration."""
        return {name: getattr(getattr(config, PARAMETERS[name][0]), PARAMETERS[name][1]) for name in self.distributions}

    def suggest(self, trial: optuna.Trial) -> ExperimentConfig:
        """The configuration that Optuna proposes."""
        return self.configuration({name: _suggest(trial, name, d) for name, d in self.distributions.items()})

    def configuration(self, parameters: Mapping[str, Any]) -> ExperimentConfig:
        """The default configuration with these parameters changed. UserError for a name that is not searched."""
        config = self.default
        for name, value in parameters.items():
            if name not in self.distributions:
                known = ", ".join(self.distributions)
                raise UserError(f"A parameter must be one that is searched ({known}), but got {name!r}.")
            section, key = PARAMETERS[name]
            config = replace(config, **{section: replace(getattr(config, section), **{key: value})})
        return config

    def corners(self) -> Iterator[ExperimentConfig]:
        """The networks at the corners of the box: all depths, and both ends of each other range that shapes it."""
        axes = {
            name: _walk(distribution) if name == "dilation_depth" else _ends(distribution)
            for name, distribution in self.distributions.items()
            if PARAMETERS[name][0] == "network" or name in SHAPING
        }
        for values in product(*axes.values()):
            yield self.configuration(dict(zip(axes, values, strict=True)))

    def ends_of(self, name: str) -> list[ExperimentConfig]:
        """The default configuration at both ends of one parameter's range; only itself where that is not searched."""
        if name not in self.distributions:
            return [self.default]
        return [self.configuration({name: end}) for end in _ends(self.distributions[name])]

    def extremes(self, num_channels: int) -> tuple[ExperimentConfig, ExperimentConfig]:
        """The configurations with the smallest and the largest network by weights, and by rate among equals."""

        def size(config: ExperimentConfig) -> tuple[int, int]:
            return describe(config.wavenet(num_channels))["num_weights"], config.front_end.sample_rate_hz

        by_size = sorted(self.corners(), key=size)
        return by_size[0], by_size[-1]

    def num_trainings(self, num_trials: int) -> int:
        """How many trainings so many trials need at most: points that differ in nothing that is trained share one. The
        score `innovations` keeps statistics, so it has trainings of its own.
        """
        trained = [each for name, each in self.distributions.items() if PARAMETERS[name][0] in TRAINED]
        if any(isinstance(each, FloatDistribution) for each in trained):
            return num_trials
        kinds = {score == INNOVATIONS for score in self._values_of("score", self.default.scoring.score)}
        return min(num_trials, len(kinds) * math.prod(len(_walk(each)) for each in trained))

    @property
    def sample_rates_hz(self) -> tuple[int, ...]:
        """All rates that a configuration can have."""
        if "sample_rate_hz" not in self.distributions:
            return (self.default.front_end.sample_rate_hz,)
        return _walk(self.distributions["sample_rate_hz"])

    @property
    def read_rates_hz(self) -> tuple[int, ...]:
        """All rates at which recordings are read."""
        front_ends = [replace(self.default.front_end, sample_rate_hz=rate) for rate in self.sample_rates_hz]
        return tuple(dict.fromkeys(each.read_rate_hz for each in front_ends))

    def network_rate_hz(self, read_rate_hz: int) -> int:
        """The highest rate of a network that hears recordings of this rate; the rate itself where none does."""
        fronts = [replace(self.default.front_end, sample_rate_hz=rate) for rate in self.sample_rates_hz]
        return max((each.sample_rate_hz for each in fronts if each.read_rate_hz == read_rate_hz), default=read_rate_hz)

    def context_samples(self, sample_rate_hz: int) -> int:
        """The samples at a clip's start that no configuration of this rate scores: the largest receptive field.

        Its time is equal at all rates, to a sample, so all configurations are judged on the same parts of clips.
        """
        longest_ms = max(config.network.receptive_field_ms for config in self.corners())
        return receptive_field_samples(longest_ms, sample_rate_hz)

    def check_box(self, max_layers: int, max_weights: int, *, num_channels: int) -> None:
        """UserError where a corner of the box has more layers or weights than the study allows.

        Layers and weights never decrease when the receptive field, the rate, a width or the number of levels grows, so
        the corners bound the box.
        """
        for config in self.corners():
            facts = describe(config.wavenet(num_channels))
            for fact, limit, key in (("num_layers", max_layers, "layers"), ("num_weights", max_weights, "weights")):
                if facts[fact] > limit:
                    network = config.network
                    raise UserError(
                        f"limits.max_{key} must hold for every network of the space, but got {facts[fact]} {key}, over "
                        f"{limit}, at dilation_depth {network.dilation_depth}, receptive_field_ms "
                        f"{network.receptive_field_ms:g}, residual_channels {network.residual_channels}, "
                        f"{config.front_end.sample_rate_hz} Hz, {config.front_end.mu_law_levels} levels. "
                        "Narrow the space or raise the limit."
                    )


def describe_range(distribution: BaseDistribution) -> str:
    """A range in words."""
    if isinstance(distribution, CategoricalDistribution):
        return "{" + ", ".join(str(choice) for choice in distribution.choices) + "}"
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    step = f", step {distribution.step:g}" if distribution.step not in (None, 1) else ""
    return f"{distribution.low:g} to {distribution.high:g}{step}{', log' if distribution.log else ''}"


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def _distribution(name: str, given: Mapping[str, Any], default: ExperimentConfig) -> BaseDistribution:
    if name not in PARAMETERS:
        raise UserError(f"space.{name} must be a parameter that can be searched ({', '.join(PARAMETERS)}), but is not.")
    unknown = set(given) - set(RANGE_KEYS)
    if unknown:
        raise UserError(f"space.{name} must have keys out of {', '.join(RANGE_KEYS)}, but got {sorted(unknown)[0]!r}.")
    section, key = PARAMETERS[name]
    value = getattr(getattr(default, section), key)
    try:
        distribution = _range_of(name, given, value)
    except (TypeError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise UserError(
            f"space.{name} must be a range {{ low, high }} or {{ choices }}, but got {dict(given)}: {reason}."
        ) from error
    if name == "sample_rate_hz" and len(_walk(distribution)) > MAX_RATES:
        raise UserError(
            f"space.sample_rate_hz must be of at most {MAX_RATES} rates, as {{ choices }} or {{ low, high, step }}, "
            f"but got {len(_walk(distribution))}. Take a larger step."
        )
    for end in _ends(distribution):  # values that the dataclass refuses are refused before trial 0
        replace(default, **{section: replace(getattr(default, section), **{key: end})})
    return distribution


def _range_of(name: str, given: Mapping[str, Any], value: Any) -> BaseDistribution:
    """The range of a parameter whose default has this value. TypeError or ValueError for a malformed range."""
    is_whole = type(value) is int
    numbers = {key: item for key, item in given.items() if key in ("low", "high", "step")}
    if is_whole and any(type(item) is not int for item in (*numbers.values(), *given.get("choices", ()))):
        raise ValueError(f"all of it must be whole numbers, as {name} is one")
    if "choices" in given:
        return CategoricalDistribution(given["choices"])
    if isinstance(value, (str, bool)):
        raise ValueError(f"choices must be given, as {name} is not a number")
    kind = IntDistribution if is_whole else FloatDistribution
    return kind(**numbers, log=given.get("log", False))


def _ends(distribution: BaseDistribution) -> tuple[Any, ...]:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    return (distribution.low, distribution.high)


def _walk(distribution: BaseDistribution) -> tuple[Any, ...]:
    if isinstance(distribution, IntDistribution):
        return tuple(range(distribution.low, distribution.high + 1, distribution.step))
    return _ends(distribution)
