"""Measures how long a trial takes: one training step and one scoring pass of throw-away networks."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from core.data.dataset import Dataset
from core.experiment import ExperimentConfig
from core.model.clips_to_score import ClipsToScore
from core.model.frontend import Codes
from core.model.optimizer import make_optimizer
from core.model.scoring import INNOVATIONS, score_clips
from core.model.training import HeldWindows, train_epochs
from core.model.training_config import TrainingConfig
from core.model.wavenet import WaveNet
from core.model.wavenet_config import Precision
from core.thread_pool import ThreadPool
from hpo.search.search_space import SearchSpace

NUM_CLIPS, NUM_FRAMES = 8, 40
"""The size of the scoring pass that is timed."""
LEAST_CHANNELS_OF_BFLOAT16 = 64
"""Residual channels below which products in bfloat16 were faster on no machine (docs/performance.md)."""
OTHER_PRECISION: dict[Precision, Precision] = {"float32": "bfloat16", "bfloat16": "float32"}


@dataclass(frozen=True)
class Estimate:
    """Seconds of one trial that is not pruned, by the size of its network."""

    smallest: float
    default: float
    largest: float
    largest_in_other_precision: float | None = None
    """Measured where bfloat16 can be faster: on a CPU, from LEAST_CHANNELS_OF_BFLOAT16 on."""


def estimate_trial_seconds(space: SearchSpace, dataset: Dataset, device: torch.device, pool: ThreadPool) -> Estimate:
    """Times the smallest, the default and the largest network of the space on this machine, as it is now."""
    smallest, largest = space.extremes(dataset.num_channels)
    configs = [smallest, space.default, largest]
    if device.type == "cpu" and largest.network.residual_channels >= LEAST_CHANNELS_OF_BFLOAT16:
        other = OTHER_PRECISION[largest.network.precision]
        configs.append(replace(largest, network=replace(largest.network, precision=other)))
    return Estimate(*(trial_seconds(config, dataset, device, pool) for config in configs))


def trial_seconds(
    config: ExperimentConfig,
    dataset: Dataset,
    device: torch.device,
    pool: ThreadPool,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Epochs times (steps times the time of a step, plus judged samples times the time to score one)."""
    training, rate = config.training, config.front_end.sample_rate_hz
    model = WaveNet(config.wavenet(dataset.num_channels)).to(device)
    scoring_s = _best_of(_scoring(model, config, pool), clock) / (NUM_CLIPS * _num_scored(config))
    step_s = _best_of(_step(model, config, pool), clock)
    judged = dataset.num_judged_samples / dataset.sample_rate_hz * rate
    return training.epochs * (training.steps_per_epoch(rate) * step_s + judged * scoring_s)


def _num_scored(config: ExperimentConfig) -> int:
    """Samples of a clip that the scoring pass scores."""
    return NUM_FRAMES * config.scoring.frame_samples(config.front_end.sample_rate_hz)


def _codes(model: WaveNet, num_predicted: int) -> Codes:
    """(NUM_CLIPS, C, T) of noise, of which so many samples have a whole receptive field before them."""
    network = model.config
    shape = (NUM_CLIPS, network.num_channels, network.receptive_field_samples + num_predicted)
    return np.random.default_rng(0).integers(network.mu_law_levels, size=shape, dtype=np.uint8)


def _step(model: WaveNet, config: ExperimentConfig, pool: ThreadPool) -> Callable[[], None]:
    """One step of training."""
    training, rate = config.training, config.front_end.sample_rate_hz
    optimizer = make_optimizer(model, training)
    windows = HeldWindows(_codes(model, training.window_targets))
    one_step = TrainingConfig(
        epochs=1,
        seconds_per_epoch=training.batch_windows * training.window_targets / rate,
        batch_windows=training.batch_windows,
        window_targets=training.window_targets,
    )

    def step() -> None:
        for _ in train_epochs(model, optimizer, windows, config=one_step, sample_rate_hz=rate, seed=0, pool=pool):
            pass

    return step


def _scoring(model: WaveNet, config: ExperimentConfig, pool: ThreadPool) -> Callable[[], None]:
    """One scoring pass over a few clips."""
    decimation, codes = config.front_end.decimation, _codes(model, _num_scored(config))
    waveforms = codes.repeat(decimation, axis=-1).astype(np.float32)
    clips = ClipsToScore(codes=codes, waveforms=waveforms, first_samples=[0] * NUM_CLIPS, decimation=decimation)

    def score() -> None:
        score_clips(
            model,
            clips,
            context_samples=model.config.receptive_field_samples,
            frame_samples=config.scoring.frame_samples(config.front_end.sample_rate_hz),
            sample_rate_hz=config.front_end.sample_rate_hz,
            with_statistics=config.scoring.score == INNOVATIONS,
            pool=pool,
        )

    return score


def _best_of(work: Callable[[], None], clock: Callable[[], float], repeats: int = 3) -> float:
    """Seconds of the shortest of a few runs after one that warms up."""
    seconds = []
    for _ in range(repeats + 1):
        started = clock()
        work()
        seconds.append(clock() - started)
    return min(seconds[1:])
