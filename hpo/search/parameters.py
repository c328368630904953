"""What can be searched, and a parameter's range: from the study file, to Optuna, and in words."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from core.errors import UserError
from core.experiment import ExperimentConfig

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


def describe_range(distribution: BaseDistribution) -> str:
    """A range in words."""
    if isinstance(distribution, CategoricalDistribution):
        return "{" + ", ".join(str(choice) for choice in distribution.choices) + "}"
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    step = f", step {distribution.step:g}" if distribution.step not in (None, 1) else ""
    return f"{distribution.low:g} to {distribution.high:g}{step}{', log' if distribution.log else ''}"


def suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    """What Optuna proposes for a parameter. This is the only caller of `suggest_*`."""
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def range_of(name: str, given: Mapping[str, Any], default: ExperimentConfig) -> BaseDistribution:
    """The range of a study file's `[space]`. UserError where it does not fit the parameter."""
    if name not in PARAMETERS:
        raise UserError(f"space.{name} must be a parameter that can be searched ({', '.join(PARAMETERS)}), but is not.")
    unknown = set(given) - set(RANGE_KEYS)
    if unknown:
        raise UserError(f"space.{name} must have keys out of {', '.join(RANGE_KEYS)}, but got {sorted(unknown)[0]!r}.")
    section, key = PARAMETERS[name]
    value = getattr(getattr(default, section), key)
    try:
        distribution = _distribution(name, given, value)
    except (TypeError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise UserError(
            f"space.{name} must be a range {{ low, high }} or {{ choices }}, but got {dict(given)}: {reason}."
        ) from error
    if name == "sample_rate_hz" and len(values_of(distribution)) > MAX_RATES:
        raise UserError(
            f"space.sample_rate_hz must be of at most {MAX_RATES} rates, as {{ choices }} or {{ low, high, step }}, "
            f"but got {len(values_of(distribution))}. Take a larger step."
        )
    for end in ends(distribution):  # values that the dataclass refuses are refused before trial 0
        replace(default, **{section: replace(getattr(default, section), **{key: end})})
    return distribution


def _distribution(name: str, given: Mapping[str, Any], value: Any) -> BaseDistribution:
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


def ends(distribution: BaseDistribution) -> tuple[Any, ...]:
    """The lowest and the highest value, or all choices."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    return (distribution.low, distribution.high)


def values_of(distribution: BaseDistribution) -> tuple[Any, ...]:
    """All values of whole numbers or choices; of other numbers the ends."""
    if isinstance(distribution, IntDistribution):
        return tuple(range(distribution.low, distribution.high + 1, distribution.step))
    return ends(distribution)
