"""Trains networks on log-mel frames, and scores clips by their squared error.

One network learns all channels; each channel has its own mean spectrum. M clips and channels, L frames, B bands.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from core.baselines.log_mel import FrameGrid, LogMel, LogMels, training_frames
from core.data.audio import Waveform
from core.data.training_clips import ClipOrder
from core.errors import UserError
from core.model.scoring import Scores


class FrameNetwork(nn.Module, ABC):
    """The interface of a network on frames."""

    context_frames: int
    """A stretch of L frames has L - context_frames errors."""
    centre_frames: float
    """The frame, counted from 0, that the first error belongs to."""

    @abstractmethod
    def errors(self, frames: Tensor) -> Tensor:
        """(M, L, B) to mean squared errors (M, L - context_frames)."""


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Subtracts a mean and divides by one number for all bands, so that errors are in dB but for a factor."""

    mean: LogMels
    """(C, 1, B) dB."""
    divisor: float
    """dB; 1 where all training clips are constant."""

    def __call__(self, frames: LogMels) -> LogMels:
        scaled: LogMels = (frames - self.mean) / np.float32(self.divisor)
        return scaled


def scaling_of(frames: LogMels) -> Scaling:
    """Fits the scaling to training frames (M, C, L, B)."""
    mean = frames.mean(axis=(0, 2), dtype=np.float64)[:, None].astype(np.float32)
    divisor = float((frames - mean).std())
    return Scaling(mean=mean, divisor=divisor if divisor > 0 else 1.0)


@dataclass(frozen=True, kw_only=True)
class NetworkScorer:
    """A trained network with its front end."""

    network: FrameNetwork
    log_mel: LogMel
    scaling: Scaling

    @property
    def frame_ms(self) -> float:
        return self.log_mel.grid.hop_ms

    @property
    def first_s(self) -> float:
        return self.log_mel.grid.first_s(self.network.centre_frames)

    @property
    def num_weights(self) -> int:
        return sum(weights.numel() for weights in self.network.parameters())

    def frame_scores(self, waveforms: Waveform) -> Scores:
        """(N, C, T) to (N, C, F) mean squared errors; F is 0 where a clip is too short."""
        num_frames = self.log_mel.grid.num_frames(waveforms.shape[-1])
        scores = np.empty((*waveforms.shape[:2], max(0, num_frames - self.network.context_frames)), dtype=np.float32)
        with torch.inference_mode():
            for clip, waveform in enumerate(waveforms if scores.size else []):
                frames = self.scaling(self.log_mel.of(waveform))
                scores[clip] = self.network.errors(torch.from_numpy(frames)).numpy()
        return scores


@dataclass(frozen=True, kw_only=True)
class NetworkAlternative:
    """A network and its training: steps of Adam, each on stretches of frames from random places."""

    name: str
    build: Callable[[int], FrameNetwork]
    """Builds the network for a number of bands."""
    min_frames: int
    num_steps: int = 1000
    """Steps of training."""
    batch_stretches: int
    """Stretches a step."""
    stretch_frames: int
    """Frames a stretch; fewer where clips are shorter."""
    learning_rate: float = 1e-3
    """Adam's."""

    def __post_init__(self) -> None:
        for name in ("num_steps", "batch_stretches", "stretch_frames"):
            if getattr(self, name) < 1:
                raise UserError(f"{self.name}: {name} must be at least 1, but got {getattr(self, name)}.")
        if not 0 < self.learning_rate <= 1:
            raise UserError(f"{self.name}: learning_rate must be above 0 and at most 1, but got {self.learning_rate}.")

    @property
    def setup(self) -> tuple[str, ...]:
        return f"{self.num_steps} steps", f"learning rate {self.learning_rate:g}"

    def fit(self, order: ClipOrder, *, sample_rate_hz: int, seed: int) -> NetworkScorer:
        log_mel = LogMel(FrameGrid.at(sample_rate_hz))
        frames = training_frames(order, log_mel).frames
        scaling = scaling_of(frames)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.build(log_mel.num_bands)
        self._train(network, scaling(frames).reshape(-1, *frames.shape[2:]), np.random.default_rng(seed))
        return NetworkScorer(network=network.eval(), log_mel=log_mel, scaling=scaling)

    def _train(self, network: FrameNetwork, frames: LogMels, random: np.random.Generator) -> None:
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        length = min(self.stretch_frames, frames.shape[1])
        for _ in range(self.num_steps):
            which = random.integers(len(frames), size=self.batch_stretches)
            starts = random.integers(frames.shape[1] - length + 1, size=self.batch_stretches)
            stretches = frames[which[:, None], starts[:, None] + np.arange(length)]
            loss = network.errors(torch.from_numpy(stretches)).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
