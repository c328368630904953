"""What is recorded of a trial: the parameters of its run, its facts at its end, and the counts of its takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import FloatDistribution

from core.decision.post_search import best_f1_over_windows, validation_counts
from core.decision.score_file import load_scores
from core.decision.take_counts import TakeCounts
from core.experiment import SCORES_FILE, EpochResult, ExperimentConfig
from core.model.wavenet_config import describe
from hpo.search.study import OpenStudy

FIGURES = ("val_f1", "val_expected_f1", "val_balanced_f1", "val_auc", "test_f1", "test_auc")
"""Of the best epoch, which are facts of a trial."""
NUM_WINDOWS = 8
"""Windows of the searched range that are tried on a trial's frame scores at its end."""


def run_params(
    config: ExperimentConfig, parameters: Mapping[str, Any], num_channels: int
) -> dict[str, str | int | float]:
    """A run's parameters: those that are searched, and facts that follow from them."""
    facts = describe(config.wavenet(num_channels))
    milliseconds = 1000 * facts["receptive_field_samples"] / config.front_end.sample_rate_hz
    return {**parameters, **facts, "receptive_field_ms_exact": milliseconds}


def facts_of(
    result: EpochResult, directory: Path, config: ExperimentConfig, search: OpenStudy, *, num_channels: int
) -> dict[str, Any]:
    """The facts of a trial that ends with this epoch."""
    return {
        **describe(config.wavenet(num_channels)),
        "best_epoch": result.best_epoch,
        **{name: result.best[name] for name in FIGURES},
        "val_f1_best_postprocessing": best_postprocessing(directory, config, search),
    }


def best_postprocessing(directory: Path, config: ExperimentConfig, search: OpenStudy) -> float:
    """The best validation F1 of the trial's frame scores with any of several windows and any threshold."""
    distribution = search.space.distributions.get("window_ms")
    windows = {config.postprocessing.window_ms}
    if isinstance(distribution, FloatDistribution):
        windows |= {float(w) for w in np.geomspace(distribution.low, distribution.high, NUM_WINDOWS)}
    return best_f1_over_windows(
        config.postprocessing,
        sorted(windows),
        load_scores(directory / SCORES_FILE),
        score=config.scoring.score,
        frame_ms=config.scoring.frame_ms,
    )


def take_counts(directory: Path, config: ExperimentConfig, search: OpenStudy) -> TakeCounts:
    """What each validation take adds to the trial's objective, for the standard error of the winner's choice."""
    return validation_counts(
        config.postprocessing,
        load_scores(directory / SCORES_FILE),
        score=config.scoring.score,
        frame_ms=config.scoring.frame_ms,
        objective=search.spec.objective,
    )
