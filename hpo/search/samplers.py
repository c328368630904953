"""What proposes configurations and ends hopeless trials: Optuna's samplers and pruners as a study file names them."""

import numpy as np
import optuna

from hpo.search.study_tables import PrunerConfig, SamplerConfig


def derived_seed(seed: int, number: int) -> int:
    """Derives a seed from a study's: for the proposal of a trial, or for a finalist's new training."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def make_sampler(config: SamplerConfig, seed: int) -> optuna.samplers.BaseSampler:
    """A sampler for one trial. It reads the history from the storage, so every trial can have a new one."""
    if config.kind == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=config.startup_trials)
    if config.kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=config.startup_trials)


def make_pruner(config: PrunerConfig, epochs: int) -> optuna.pruners.BasePruner:
    if config.kind == "none":
        return optuna.pruners.NopPruner()
    if config.kind == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=config.warmup_epochs, max_resource=epochs)
    warmup_steps = config.warmup_epochs + 1  # Optuna counts steps from 0 and prunes at the last of them
    return optuna.pruners.MedianPruner(n_startup_trials=config.startup_trials, n_warmup_steps=warmup_steps)
