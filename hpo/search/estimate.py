"""Measures how long a trial takes: one training step and one scoring pass of throw-away networks."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from core.data.dataset import Dataset
from core.experiment import ExperimentConfig
from core.model.clips_to_score import ClipsToScore
from core.model.optimizer import make_optimizer
from core.model.scoring import INNOVATIONS, score_clips
from core.model.training import HeldWindows, TrainingConfig, train_epochs
from core.model.wavenet import WaveNet
from core.thread_pool import ThreadPool
from hpo.search.search_space import SearchSpace

NUM_CLIPS, NUM_FRAMES = 8, 40
"""The size of the scoring pass that is timed."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds of one trial that is not pruned, by the size of its network."""

    smallest: float
    default: float
    largest: float


def estimate_trial_seconds(space: SearchSpace, dataset: Dataset, device: torch.device, pool: ThreadPool) -> Estimate:
    """Times the smallest, the default and the largest network of the space on this machine, as it is now."""
    smallest, largest = space.extremes(dataset.num_channels)
    seconds = [trial_seconds(config, dataset, device, pool) for config in (smallest, space.default, largest)]
    return Estimate(smallest=seconds[0], default=seconds[1], largest=seconds[2])


def trial_seconds(
    config: ExperimentConfig,
    dataset: Dataset,
    device: torch.device,
    pool: ThreadPool,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Epochs times (steps times the time of a step, plus judged seconds of audio times the time to score one)."""
    training, rate, network = config.training, config.front_end.sample_rate_hz, config.wavenet(dataset.num_channels)
    model = WaveNet(network).to(device)
    optimizer = make_optimizer(model, training)
    context, frame = network.receptive_field_samples, config.scoring.frame_samples(rate)
    samples = NUM_FRAMES * frame
    shape = (NUM_CLIPS, network.num_channels, context + max(samples, training.window_targets))
    noise = np.random.default_rng(0).integers(network.mu_law_levels, size=shape, dtype=np.uint8)
    codes = noise[..., : context + samples]
    waveforms = codes.repeat(config.front_end.decimation, axis=-1).astype(np.float32)
    clips = ClipsToScore(
        codes=codes, waveforms=waveforms, first_samples=[0] * NUM_CLIPS, decimation=config.front_end.decimation
    )
    one_step = TrainingConfig(
        epochs=1,
        seconds_per_epoch=training.batch_windows * training.window_targets / rate,
        batch_windows=training.batch_windows,
        window_targets=training.window_targets,
    )

    def step() -> None:
        for _ in train_epochs(
            model, optimizer, HeldWindows(noise), config=one_step, sample_rate_hz=rate, seed=0, pool=pool
        ):
            pass

    def score() -> None:
        score_clips(
            model,
            clips,
            context_samples=context,
            frame_samples=frame,
            sample_rate_hz=rate,
            with_statistics=config.scoring.score == INNOVATIONS,
            pool=pool,
        )

    per_second = _best_of(score, clock) / (NUM_CLIPS * samples) * rate
    judged_s = dataset.num_judged_samples / dataset.sample_rate_hz
    return training.epochs * (training.steps_per_epoch(rate) * _best_of(step, clock) + judged_s * per_second)


def _best_of(work: Callable[[], None], clock: Callable[[], float], repeats: int = 3) -> float:
    """Seconds of the shortest of a few runs after one that warms up."""
    seconds = []
    for _ in range(repeats + 1):
        started = clock()
        work()
        seconds.append(clock() - started)
    return min(seconds[1:])
