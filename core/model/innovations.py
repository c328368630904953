"""Innovations: every sample, seen through the distribution that the network predicted for it.

    u_t = F(x_t - 1) + v_t p(x_t)        F: the predicted probability of a level or a lower one
    z_t = Phi^-1(u_t)                    Phi: the standard normal distribution function

Where the network is right, the z of a channel are independent and standard normal: the probability integral transform,
which the uniform draw v_t inside a level's step makes exact for quantised samples, too (Brockwell, 2007). A fault
changes their power, their colour and their correlations.

The draws depend on the channel and on the sample's place in its recording alone, so a clip that is cut elsewhere, and a
detector at work, get the same numbers. They do not depend on the sound, which keeps them independent of it.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Samples = npt.NDArray[np.float32]

SMALLEST_U = 2.0**-24
"""Of u and of 1 - u, so that z lies within 5.4 standard deviations."""
_GOLDEN = 0x9E3779B97F4A7C15
_BITS = 2**64


def uniform_draws(first_sample: int, num_samples: int, num_channels: int) -> Samples:
    """(C, T) draws in [0, 1) for the samples from `first_sample` on: SplitMix64 of their index (Steele, 2014)."""
    index = np.arange(first_sample, first_sample + num_samples, dtype=np.uint64)
    streams = np.array([(channel + 1) * _GOLDEN**2 % _BITS for channel in range(num_channels)], dtype=np.uint64)
    x = (index + np.uint64(1)) * np.uint64(_GOLDEN) + streams[:, None]  # modulo 2 ** 64
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    draws: Samples = ((x ^ (x >> np.uint64(31))) >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
    return draws


def innovations(surprise: Samples, below: Samples, draws: Samples) -> Samples:
    """(C, T) surprise in bits, predicted probability of lower levels, and draws, to z. NaN stays NaN."""
    u = below.astype(np.float64) + draws * np.exp2(-surprise.astype(np.float64))
    z: Samples = ndtri(np.clip(u, SMALLEST_U, 1 - SMALLEST_U)).astype(np.float32)
    return z
