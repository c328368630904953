"""One network, its training clips, and a generator that yields one EpochReport an epoch.

A step takes a batch of windows of (receptive field + targets) samples at random places in random clips. The loss is on
targets alone, so every prediction has its full context. All randomness of epoch e comes from (seed, e), so an epoch
that is repeated after an interruption is the same.

The windows of a batch are split over a pool's threads. Each thread runs its own forward and backward pass, and the
gradients are added in a fixed order. For small networks this is faster than PyTorch's own threads, which synchronise
after every operator and stall whenever another process occupies a core.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from core.errors import UserError
from core.model.frontend import Codes
from core.model.wavenet import WaveNet
from core.thread_pool import ThreadPool

FINAL_LEARNING_RATE_SHARE = 0.05


class ConfigurationFailed(Exception):
    """This configuration cannot be trained (diverged, out of memory); another one may. The message is the reason."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the network is trained."""

    epochs: int = 8
    """Epochs, each followed by an evaluation."""
    seconds_per_epoch: float = 30.0
    """Audio on which the loss is computed in one epoch, drawn with replacement."""
    learning_rate: float = 1e-2
    """Adam's peak rate. The rate reaches it after the warm-up and falls to a twentieth by a cosine."""
    warmup_share: float = 0.1
    """Share of all steps in which the rate rises from zero."""
    batch_windows: int = 4
    """Windows a step."""
    window_targets: int = 512
    """Predicted samples a window, per channel, in addition to the receptive field."""
    gradient_norm: float = 1.0
    """Larger gradients are scaled down to this norm."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_windows", "window_targets"):
            if getattr(self, name) < 1:
                raise UserError(f"training.{name} must be at least 1, but got {getattr(self, name)}.")
        for name in ("seconds_per_epoch", "learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise UserError(f"training.{name} must be above 0, but got {getattr(self, name)}.")
        if self.learning_rate > 1:
            raise UserError(f"training.learning_rate must be at most 1, but got {self.learning_rate}.")
        if not 0 <= self.warmup_share < 1:
            raise UserError(f"training.warmup_share must be at least 0 and below 1, but got {self.warmup_share}.")

    def steps_per_epoch(self, sample_rate_hz: int) -> int:
        return max(1, round(self.seconds_per_epoch * sample_rate_hz / (self.batch_windows * self.window_targets)))

    def learning_rate_at(self, progress: float) -> float:
        """The rate after a share `progress` (0 to 1) of all steps."""
        if progress < self.warmup_share:
            return self.learning_rate * progress / self.warmup_share
        cosine = (1 + math.cos(math.pi * (progress - self.warmup_share) / (1 - self.warmup_share))) / 2
        return self.learning_rate * (FINAL_LEARNING_RATE_SHARE + (1 - FINAL_LEARNING_RATE_SHARE) * cosine)


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


def train_epochs(
    model: WaveNet,
    optimizer: torch.optim.Optimizer,
    windows: Windows,
    *,
    config: TrainingConfig,
    sample_rate_hz: int,
    seed: int,
    pool: ThreadPool,
    first_epoch: int = 1,
) -> Iterator[EpochReport]:
    """Trains from first_epoch on, yields after each epoch. Raises ConfigurationFailed when the loss is not finite."""
    device = next(model.parameters()).device
    num_steps = config.steps_per_epoch(sample_rate_hz)
    for epoch in range(first_epoch, config.epochs + 1):
        random = np.random.default_rng([seed, epoch])
        started = time.perf_counter()
        losses, num_targets = [], 0
        for step in range(num_steps):
            progress = (epoch - 1 + (step + 1) / num_steps) / config.epochs
            rate = config.learning_rate_at(progress)
            codes = windows.draw(
                step=(epoch - 1) * num_steps + step,
                num_windows=config.batch_windows,
                num_samples=model.config.receptive_field_samples + config.window_targets,
                random=random,
            )
            batch = torch.from_numpy(codes).to(device)
            losses.append(_step(model, optimizer, batch, rate, config.gradient_norm, pool))
            num_targets += batch.shape[0] * (batch.shape[-1] - model.config.receptive_field_samples)
        train_loss = float(torch.stack(losses).mean())
        if not math.isfinite(train_loss):
            raise ConfigurationFailed(f"the loss was not finite in epoch {epoch} (learning rate {rate:.3g})")
        seconds = time.perf_counter() - started
        yield EpochReport(
            epoch=epoch,
            train_loss=train_loss,
            learning_rate=rate,
            audio_seconds_per_second=num_targets / sample_rate_hz / seconds,
        )


def _step(
    model: WaveNet, optimizer: torch.optim.Optimizer, batch: Tensor, rate: float, gradient_norm: float, pool: ThreadPool
) -> Tensor:
    for group in optimizer.param_groups:
        group["lr"] = rate
    shares = batch.chunk(pool.num_threads)
    parts = pool.map(lambda share: _loss_and_gradients(model, share, len(share) / len(batch)), shares)
    loss = torch.stack([loss for loss, _ in parts]).sum()
    for weight, *gradients in zip(model.parameters(), *(gradients for _, gradients in parts), strict=True):
        weight.grad = torch.stack(gradients).sum(dim=0)
    torch.nn.utils.clip_grad_norm_(model.parameters(), gradient_norm)
    optimizer.step()
    return loss


def _loss_and_gradients(model: WaveNet, windows: Tensor, share: float) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A share of the batch's mean loss, and its gradients in the order of the model's parameters."""
    loss = model.loss_bits(windows) * share
    return loss.detach(), torch.autograd.grad(loss, list(model.parameters()))
