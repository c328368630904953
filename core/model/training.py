"""One network, its training clips, and a generator that yields one EpochReport an epoch.

A step takes a batch of windows of (receptive field + targets) samples at random places in random clips. The loss is on
targets alone, so every prediction has its full context. All randomness of epoch e comes from (seed, e), so an epoch
that is repeated after an interruption is the same. An epoch that was left between two batches resumes there
(`EpochProgress`), to the same bits.

The windows of a batch are split over a pool's threads. Each thread runs its own forward and backward pass, and the
gradients are added in a fixed order. For small networks this is faster than PyTorch's own threads, which synchronise
after every operator and stall whenever another process occupies a core.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from core.model.frontend import Codes
from core.model.training_config import TrainingConfig
from core.model.wavenet import WaveNet
from core.thread_pool import ThreadPool

BatchContext = AbstractContextManager[object]
"""Is entered around the computation of every batch. It may put off until its exit what must not be raised within a
batch. It is not entered while a batch is drawn, which may wait for a stream."""
NO_CONTEXT: BatchContext = nullcontext()


class ConfigurationFailed(Exception):
    """This configuration cannot be trained (diverged, out of memory); another one may. The message is the reason."""


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """The results of one epoch of training."""

    epoch: int
    """From 1."""
    train_loss: float
    """Mean surprise over the epoch's targets in bits per sample, while the weights change."""
    learning_rate: float
    """At the end of the epoch."""
    audio_seconds_per_second: float
    """Of audio by those of computation, summed over all processes that trained the epoch."""


@dataclass(kw_only=True)
class EpochProgress:
    """The steps of an epoch that are done. With the weights and the moments of that moment the epoch resumes."""

    epoch: int
    random_state: Mapping[str, Any]
    """Of the generator that draws the next batch."""
    losses: list[Tensor] = field(default_factory=list)
    """One a step, in bits per sample."""
    num_targets: int = 0
    seconds: float = 0.0
    """Of computation, summed over all processes."""
    is_between_batches: bool = True
    """False while a batch changes the weights, and after an error within a batch."""

    @classmethod
    def at_start(cls, epoch: int, *, seed: int) -> "EpochProgress":
        return cls(epoch=epoch, random_state=np.random.default_rng([seed, epoch]).bit_generator.state)

    def random(self) -> np.random.Generator:
        generator = np.random.default_rng(0)
        generator.bit_generator.state = self.random_state
        return generator


class Windows(Protocol):
    """A source of windows of training clips."""

    def draw(self, *, step: int, num_windows: int, num_samples: int, random: np.random.Generator) -> Codes:
        """(num_windows, C, num_samples) codes; shorter where clips are. Steps count from 0 over all epochs."""
        ...


@dataclass(frozen=True)
class HeldWindows:
    """Windows of clips in memory, (N, C, T) codes."""

    clips: Codes

    def draw(self, *, num_windows: int, num_samples: int, random: np.random.Generator, **_: int) -> Codes:
        num_clips, _, clip_samples = self.clips.shape
        length = min(num_samples, clip_samples)
        which = random.integers(num_clips, size=num_windows)
        starts = random.integers(clip_samples - length + 1, size=num_windows)
        return np.stack([self.clips[clip, :, a : a + length] for clip, a in zip(which, starts, strict=True)])


class Optimizer(Protocol):
    """What a training needs of an optimizer: one of PyTorch's, or one of the same form."""

    param_groups: list[dict[str, Any]]
    """Each has an `lr`, which is set before every step."""

    def step(self) -> object:
        """Changes the weights by their gradients."""

    def state_dict(self) -> dict[str, Any]:
        """Its `state` has the moments of each weight, tensors by name, by the weight's number."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None: ...


@dataclass(frozen=True, kw_only=True)
class _Trainer:
    """What does not change from step to step."""

    model: WaveNet
    optimizer: Optimizer
    windows: Windows
    config: TrainingConfig
    num_steps: int
    """Of an epoch."""
    pool: ThreadPool

    def learning_rate(self, epoch: int, step: int) -> float:
        """Of a step from 0: the schedule's in the middle of the step, so that no step has a rate of zero."""
        return self.config.learning_rate_at((epoch - 1 + (step + 0.5) / self.num_steps) / self.config.epochs)

    def draw(self, progress: EpochProgress, random: np.random.Generator) -> Tensor:
        codes = self.windows.draw(
            step=(progress.epoch - 1) * self.num_steps + len(progress.losses),
            num_windows=self.config.batch_windows,
            num_samples=self.model.config.receptive_field_samples + self.config.window_targets,
            random=random,
        )
        return torch.from_numpy(codes).to(next(self.model.parameters()).device)

    def train_on(self, batch: Tensor, progress: EpochProgress, random: np.random.Generator) -> None:
        """One step, which counts as done when everything in `progress` says so."""
        progress.is_between_batches = False
        rate = self.learning_rate(progress.epoch, len(progress.losses))
        loss = _step(self.model, self.optimizer, batch, rate, self.config.gradient_norm, self.pool)
        progress.losses.append(loss)
        progress.num_targets += batch.shape[0] * (batch.shape[-1] - self.model.config.receptive_field_samples)
        progress.random_state = random.bit_generator.state
        progress.is_between_batches = True


def train_epochs(
    model: WaveNet,
    optimizer: Optimizer,
    windows: Windows,
    *,
    config: TrainingConfig,
    sample_rate_hz: int,
    seed: int,
    pool: ThreadPool,
    first_epoch: int = 1,
    begun: EpochProgress | None = None,
    around_batch: BatchContext = NO_CONTEXT,
    after_batch: Callable[[EpochProgress], None] = lambda _: None,
) -> Iterator[EpochReport]:
    """Trains from first_epoch on, yields after each epoch. Raises ConfigurationFailed when the loss is not finite.

    `begun` is the progress of the first epoch; the model and the optimizer must have its weights and moments.
    `after_batch` gets the epoch's progress after every batch, as the same object throughout the epoch, before
    `around_batch` is left.
    """
    num_steps = config.steps_per_epoch(sample_rate_hz)
    trainer = _Trainer(model=model, optimizer=optimizer, windows=windows, config=config, num_steps=num_steps, pool=pool)
    for epoch in range(first_epoch, config.epochs + 1):
        progress = begun or EpochProgress.at_start(epoch, seed=seed)
        begun = None
        assert progress.epoch == epoch, "the epoch that has begun must be the first"
        random, earlier_s, started = progress.random(), progress.seconds, time.perf_counter()
        while len(progress.losses) < num_steps:
            batch = trainer.draw(progress, random)
            with around_batch:
                trainer.train_on(batch, progress, random)
                progress.seconds = earlier_s + time.perf_counter() - started
                after_batch(progress)
        rate, train_loss = trainer.learning_rate(epoch, num_steps - 1), float(torch.stack(progress.losses).mean())
        if not math.isfinite(train_loss):
            raise ConfigurationFailed(f"the loss was not finite in epoch {epoch} (learning rate {rate:.3g})")
        seconds = earlier_s + time.perf_counter() - started
        yield EpochReport(
            epoch=epoch,
            train_loss=train_loss,
            learning_rate=rate,
            audio_seconds_per_second=progress.num_targets / sample_rate_hz / seconds,
        )


def _step(
    model: WaveNet, optimizer: Optimizer, batch: Tensor, rate: float, gradient_norm: float, pool: ThreadPool
) -> Tensor:
    for group in optimizer.param_groups:
        group["lr"] = rate
    network, shares = model.fast(), batch.chunk(pool.num_threads)
    parts = pool.map(network.loss_and_gradient, shares)
    weights = parts[0][1].new_tensor([len(share) / len(batch) for share in shares])
    loss = torch.stack([loss for loss, _ in parts]) @ weights
    gradient = weights @ torch.stack([gradient for _, gradient in parts])
    gradient *= (gradient_norm / gradient.norm().add(1e-6)).clamp(max=1)
    for parameter, part in zip(model.parameters(), network.split(gradient), strict=True):
        parameter.grad = part
    optimizer.step()
    return loss
