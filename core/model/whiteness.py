"""Whether innovations are what they are where the network is right: u uniform, z white and standard normal.

    shares              of u = Phi(z) in NUM_BINS equal bins (the probability integral transform): all equal
    mean, variance      of z: 0 and 1
    autocorrelations    of z at lags of 1 to NUM_LAGS samples: 0

All of it is one number in bits a sample, how much more z tells than white noise (Cover and Thomas, 2006):

    unlearned = sum share log2(share NUM_BINS)  -  log2(1 - R^2) / 2
                how far u is from uniform          how well z is predicted linearly from the NUM_LAGS z before

By chance white z seems to tell (NUM_BINS - 1 + NUM_LAGS) / (2 samples ln 2) bits, which is taken off. C channels.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_toeplitz
from scipy.special import ndtri

from core.model.innovations import Samples

NUM_BINS = 20
NUM_LAGS = 64
"""In samples."""
MOST_UNLEARNED_BITS = 0.05
"""Of a network that has learned its machine, in the mean over microphones: what a fault of the cars adds to surprise is
hardly more. On healthy validation clips of cars, fan and simulated car it is 0.02 to 0.03 after 360 s of training, and
0.06 to 0.14 after 20 s (benchmarks/whiteness.py)."""
_EDGES = ndtri(np.arange(1, NUM_BINS) / NUM_BINS)

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Whiteness:
    """Sums over the innovations of some clips, and the figures that follow from them. NaN where there are none."""

    num_samples: int
    """Of each channel."""
    counts: npt.NDArray[np.int64]
    """(C, NUM_BINS)"""
    sums: FloatArray
    """(C,)"""
    num_pairs: npt.NDArray[np.int64]
    """(1 + NUM_LAGS,): a sample with the one so many samples before in its clip."""
    pair_sums: FloatArray
    """(C, 1 + NUM_LAGS)"""
    products: FloatArray
    """(C, 1 + NUM_LAGS)"""

    def __add__(self, other: "Whiteness") -> "Whiteness":
        return Whiteness(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    @property
    def shares(self) -> FloatArray:
        """(C, NUM_BINS), of which each row sums to 1."""
        return self.counts / (self.num_samples or math.nan)

    @property
    def means(self) -> FloatArray:
        return self.sums / (self.num_samples or math.nan)

    @property
    def variances(self) -> FloatArray:
        return self._covariances[:, 0]

    @property
    def autocorrelations(self) -> FloatArray:
        """(C, 1 + NUM_LAGS), of which the first is 1."""
        return self._covariances / self.variances[:, None]

    @property
    def unlearned_bits(self) -> FloatArray:
        """(C,), 0 or more."""
        by_chance = (NUM_BINS - 1 + NUM_LAGS) / (2 * math.log(2)) / (self.num_samples or math.nan)
        told: FloatArray = self._by_histogram() + [_bits_by_prediction(channel) for channel in self._covariances]
        return np.maximum(told - by_chance, 0)

    @property
    def _covariances(self) -> FloatArray:
        """(C, 1 + NUM_LAGS), with the same divisor at every lag, which keeps a prediction's error above 0."""
        means = self.means[:, None]
        centred: FloatArray = self.products - means * self.pair_sums + means**2 * self.num_pairs
        return centred / (self.num_samples or math.nan)

    def _by_histogram(self) -> FloatArray:
        shares = self.shares
        bits: FloatArray = (shares * np.log2(np.where(shares == 0, 1, shares * NUM_BINS))).sum(axis=-1)
        return bits


def whiteness_of(clips: Iterable[Samples], num_channels: int) -> Whiteness:
    """Of the innovations (C, T) of clips, each of any length."""
    total = _sums(np.empty((num_channels, 0), np.float32))
    for z in clips:
        total += _sums(z)
    return total


def _sums(z: Samples) -> Whiteness:
    return Whiteness(
        num_samples=z.shape[-1],
        counts=np.stack([np.bincount(np.searchsorted(_EDGES, channel), minlength=NUM_BINS) for channel in z]),
        sums=z.sum(axis=-1, dtype=np.float64),
        num_pairs=np.maximum(0, z.shape[-1] - np.arange(1 + NUM_LAGS)),
        pair_sums=_pair_sums(z.astype(np.float64)),
        products=np.stack([_product(z, lag) for lag in range(1 + NUM_LAGS)], axis=-1),
    )


def _pair_sums(z: FloatArray) -> FloatArray:
    """(C, 1 + NUM_LAGS): the sum of all but the first samples, and of all but the last."""
    ends = [np.pad(end[:, :NUM_LAGS], ((0, 0), (1, max(0, NUM_LAGS - z.shape[-1])))) for end in (z, z[:, ::-1])]
    left_out = sum(np.cumsum(end, axis=-1) for end in ends)
    sums: FloatArray = 2 * z.sum(axis=-1, keepdims=True) - left_out
    return sums


def _product(z: Samples, lag: int) -> FloatArray:
    """(C,); 0 for a clip that is no longer than the lag."""
    before = z[:, : max(0, z.shape[-1] - lag)]
    products: FloatArray = np.einsum("ct,ct->c", z[:, lag:], before, dtype=np.float64)
    return products


def _bits_by_prediction(covariances: FloatArray) -> float:
    """Of one channel (1 + NUM_LAGS,): bits a sample that the best linear prediction from the samples before saves."""
    if not covariances[0] > 0:
        return math.nan
    weights = solve_toeplitz(covariances[:-1], covariances[1:])
    return -math.log2(1 - float(weights @ covariances[1:]) / float(covariances[0])) / 2
