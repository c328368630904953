"""A Gaussian on statistics of log-mel frames over half a second: mean and standard deviation of every band.

In each channel every machine has its own mean, and all share one covariance, shrunk towards a multiple of the identity
(Ledoit and Wolf, 2004). The score is the Mahalanobis distance to the nearest machine's mean, divided by
the square root of the number of dimensions: about 1 where the Gaussian is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from core.baselines.log_mel import FrameGrid, LogMel, LogMels, training_frames
from core.data.audio import Waveform
from core.data.training_clips import ClipOrder
from core.model.scoring import Scores

WINDOW_FRAMES = 16
FLOOR = 1e-4
"""Added to every variance, in dB squared. Without it a band that is constant in training would dominate the score."""

Statistics = npt.NDArray[np.float64]


def statistics(frames: LogMels, *, step: int = 1) -> Statistics:
    """(..., L, B) to (..., F, 2 B): mean and deviation of every step-th window of WINDOW_FRAMES frames."""
    windows = np.lib.stride_tricks.sliding_window_view(frames, WINDOW_FRAMES, axis=-2)[..., ::step, :, :]
    parts = [windows.mean(axis=-1, dtype=np.float64), windows.std(axis=-1, dtype=np.float64)]
    return np.concatenate(parts, axis=-1)


@dataclass(frozen=True, kw_only=True)
class ChannelGaussian:
    """The normal sound of one channel; D = 2 B."""

    means: Statistics
    """(number of machines, D)."""
    whitening: Statistics
    """(D, D): a difference times it has a Euclidean length that is its Mahalanobis distance / sqrt(D)."""

    def distances(self, points: Statistics) -> npt.NDArray[np.float64]:
        """(..., D) to (...): to the nearest machine."""
        to_each = [np.linalg.norm((points - mean) @ self.whitening, axis=-1) for mean in self.means]
        nearest: npt.NDArray[np.float64] = np.min(to_each, axis=0)
        return nearest


def fit_channel(points: Statistics, machines: Sequence[str]) -> ChannelGaussian:
    """Fits (M, F, D) statistics of M clips of these machines."""
    names = sorted(set(machines))
    which = np.array([names.index(machine) for machine in machines])
    means = np.stack([points[which == index].mean(axis=(0, 1)) for index in range(len(names))])
    residuals = (points - means[which][:, None]).reshape(-1, points.shape[-1])
    from sklearn.covariance import LedoitWolf  # here, because only comparisons should wait for it

    covariance = LedoitWolf(assume_centered=True).fit(residuals).covariance_
    variances, axes = np.linalg.eigh(covariance)
    whitening = axes / np.sqrt(len(variances) * (np.maximum(variances, 0.0) + FLOOR))
    return ChannelGaussian(means=means, whitening=whitening)


@dataclass(frozen=True, kw_only=True)
class GaussianScorer:
    """A Gaussian for each channel."""

    log_mel: LogMel
    channels: tuple[ChannelGaussian, ...]

    @property
    def frame_ms(self) -> float:
        return self.log_mel.grid.hop_ms

    @property
    def first_s(self) -> float:
        return self.log_mel.grid.first_s((WINDOW_FRAMES - 1) / 2)

    @property
    def num_weights(self) -> int:
        """The means, and half of the symmetric covariance."""
        dimensions = self.channels[0].means.shape[1]
        return sum(channel.means.size + dimensions * (dimensions + 1) // 2 for channel in self.channels)

    def frame_scores(self, waveforms: Waveform) -> Scores:
        """(N, C, T) to (N, C, F); F is 0 where a clip is too short."""
        num_frames = self.log_mel.grid.num_frames(waveforms.shape[-1])
        scores = np.empty((*waveforms.shape[:2], max(0, num_frames - WINDOW_FRAMES + 1)), dtype=np.float32)
        with _one_thread():
            for clip, waveform in enumerate(waveforms if scores.size else []):
                points = statistics(self.log_mel.of(waveform))
                scores[clip] = [channel.distances(heard) for channel, heard in zip(self.channels, points, strict=True)]
        return scores


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """The alternative without a network."""

    name: str = "log-mel Gaussian"
    min_frames: int = WINDOW_FRAMES
    setup: tuple[str, ...] = ()

    def fit(self, order: ClipOrder, *, sample_rate_hz: int, seed: int) -> GaussianScorer:  # noqa: ARG002 (nothing drawn)
        """Fits windows that do not overlap, because Ledoit and Wolf's rule assumes independent points."""
        log_mel = LogMel(FrameGrid.at(sample_rate_hz))
        training = training_frames(order, log_mel)
        points = statistics(training.frames, step=WINDOW_FRAMES)
        with _one_thread():
            channels = [fit_channel(points[:, channel], training.machines) for channel in range(points.shape[1])]
        return GaussianScorer(log_mel=log_mel, channels=tuple(channels))


def _one_thread() -> threadpool_limits:
    """Limits NumPy's algebra to one thread: on a busy machine its threads wait fifty times longer than they work."""
    return threadpool_limits(limits=1, user_api="blas")
