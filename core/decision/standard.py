"""A logarithm of a distance, or another number, in standard deviations from its mean over healthy takes."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PRIOR_TAKES = 6
"""What is learned from healthy takes is pooled with what is usual for machines, which counts as so many more takes."""
USUAL_DEVIATION = 0.4
"""Of a score between healthy takes, in nats."""
MAX_SIGMAS = 30.0
"""In either direction, so that exp of sigmas is finite."""


@dataclass(frozen=True, kw_only=True)
class Standard:
    """Mean and standard deviation over healthy takes."""

    mean: float
    deviation: float

    def sigmas(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return (values - self.mean) / self.deviation

    def bounded_sigmas(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """At most MAX_SIGMAS in either direction."""
        bounded: npt.NDArray[np.float64] = np.clip(self.sigmas(values), -MAX_SIGMAS, MAX_SIGMAS)
        return bounded


def standard_of(
    values: npt.NDArray[np.float64],
    *,
    freedom: int,
    usual_mean: float | None = None,
    usual_deviation: float = USUAL_DEVIATION,
) -> Standard:
    """The standard of (N,) logarithms of clips, whose takes differ in `freedom` independent ways. N must be at least 1.

    Without a usual mean, the mean is that of the values alone.
    """
    weight = freedom / (freedom + PRIOR_TAKES)
    own_mean = float(values.mean())
    variance = weight * float(values.var()) + (1 - weight) * usual_deviation**2
    mean = own_mean if usual_mean is None else weight * own_mean + (1 - weight) * usual_mean
    return Standard(mean=mean, deviation=math.sqrt(variance))
