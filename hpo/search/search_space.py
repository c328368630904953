"""Turns a trial into an experiment configuration.

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
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from core.errors import UserError
from core.experiment import ExperimentConfig, receptive_field_samples
from core.model.scoring import INNOVATIONS
from core.model.wavenet_config import describe
from hpo.search.parameters import PARAMETERS, SHAPING, TRAINED, describe_range, ends, range_of, suggest, values_of


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
        distributions = {name: range_of(name, given, default) for name, given in ranges.items()}
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
        return self.configuration({name: suggest(trial, name, d) for name, d in self.distributions.items()})

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
            name: values_of(distribution) if name == "dilation_depth" else ends(distribution)
            for name, distribution in self.distributions.items()
            if PARAMETERS[name][0] == "network" or name in SHAPING
        }
        for values in product(*axes.values()):
            yield self.configuration(dict(zip(axes, values, strict=True)))

    def ends_of(self, name: str) -> list[ExperimentConfig]:
        """The default configuration at both ends of one parameter's range; only itself where that is not searched."""
        if name not in self.distributions:
            return [self.default]
        return [self.configuration({name: end}) for end in ends(self.distributions[name])]

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
        return min(num_trials, len(kinds) * math.prod(len(values_of(each)) for each in trained))

    @property
    def sample_rates_hz(self) -> tuple[int, ...]:
        """All rates that a configuration can have."""
        if "sample_rate_hz" not in self.distributions:
            return (self.default.front_end.sample_rate_hz,)
        return values_of(self.distributions["sample_rate_hz"])

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
