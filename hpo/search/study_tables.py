"""The tables of a study file that say how the search is run, and what follows it."""

from dataclasses import dataclass
from typing import Literal

from core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """The largest network that the study may train. Every point of the space is checked before trial 0."""

    max_layers: int = 48
    max_weights: int = 500_000


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """The sampler, which proposes configurations."""

    kind: Literal["tpe", "gp", "random"] = "tpe"
    startup_trials: int = 10
    """Random trials before the sampler uses its model of the space."""
    lag: int = 8
    """Trial n learns from the results of trials up to n - lag, and at most so many run at once; 0: from whatever has
    ended (hpo/search/known_trials.py)."""

    def __post_init__(self) -> None:
        if self.startup_trials < 1:
            raise UserError(f"sampler.startup_trials must be at least 1, but got {self.startup_trials}.")
        if self.lag < 0:
            raise UserError(f"sampler.lag must be 0 or more, but got {self.lag}.")


@dataclass(frozen=True, kw_only=True)
class PrunerConfig:
    """The pruner, which ends hopeless trials early by their validation AUC."""

    kind: Literal["median", "hyperband", "none"] = "median"
    startup_trials: int = 8
    """Trials that complete before any is pruned (median)."""
    warmup_epochs: int = 2
    """Epochs in which no trial is pruned; Hyperband's smallest budget."""

    def __post_init__(self) -> None:
        if self.warmup_epochs < 1 or self.startup_trials < 1:
            raise UserError(
                f"pruner.warmup_epochs and pruner.startup_trials must be at least 1, but got {self.warmup_epochs} and "
                f"{self.startup_trials}."
            )


@dataclass(frozen=True, kw_only=True)
class FinalistsConfig:
    """The best trials of a search are trained again with new seeds, and their means choose the winner."""

    count: int = 3
    """How many trials are trained again."""
    new_seeds: int = 2
    """New trainings of each. With 0 the search decides alone."""
    epochs_factor: float = 1.0
    """Factor on the epochs of the search. Above 1 the trial's own seed is also trained for so many epochs, and this
    training replaces that of the search in the mean."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(f"finalists.count must be at least 1, but got {self.count}. new_seeds = 0 turns them off.")
        if self.new_seeds < 0:
            raise UserError(f"finalists.new_seeds must be 0 or more, but got {self.new_seeds}.")
        if self.epochs_factor < 1:
            raise UserError(f"finalists.epochs_factor must be at least 1, but got {self.epochs_factor:g}.")

    def epochs(self, epochs_of_search: int) -> int:
        return round(self.epochs_factor * epochs_of_search)

    def seeds(self, epochs_of_search: int) -> range:
        """The seeds of each finalist's new trainings: 1 is its own, 2 and more are new. Empty where turned off."""
        if not self.new_seeds:
            return range(0)
        own_again = self.epochs(epochs_of_search) != epochs_of_search
        return range(1 if own_again else 2, 2 + self.new_seeds)


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What the alternatives to WaveNet choose from, beyond what the search has."""

    sample_rates_hz: tuple[int, ...] = ()
    """Sample rates that they try. Where it is empty, those of the study."""

    def __post_init__(self) -> None:
        for rate in self.sample_rates_hz:
            if not 1000 <= rate <= 192_000:
                raise UserError(f"compare.sample_rates_hz must be 1000 to 192000, but got {rate}.")
