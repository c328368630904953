"""A quantity in standard deviations from its mean over healthy clips."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST_DEVIATION = 0.1
"""Of logarithms, in nats: a few clips can agree by chance."""
MAX_SIGMAS = 30.0
"""In either direction, so that exp of sigmas is finite."""


@dataclass(frozen=True, kw_only=True)
class Standard:
    """Mean and standard deviation over healthy clips."""

    mean: float
    deviation: float

    def sigmas(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        sigmas: npt.NDArray[np.float64] = np.clip((values - self.mean) / self.deviation, -MAX_SIGMAS, MAX_SIGMAS)
        return sigmas


def standard_of(values: npt.NDArray[np.float64]) -> Standard:
    """The standard of logarithms of a quantity; at least one value."""
    return Standard(mean=float(values.mean()), deviation=max(float(values.std()), LEAST_DEVIATION))
