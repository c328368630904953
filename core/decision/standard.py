"""A logarithm of a distance in standard deviations from its mean over healthy takes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PRIOR_DEVIATION, PRIOR_TAKES = 0.4, 4
"""In nats. A few takes can agree by chance, so their deviation is pooled with this one, which counts as so many takes.
It is a round value: groups had 0.2 to 0.4 on 16 takes of the simulated car and 0.3 to 1.1 on 5 takes of the fan, and on
6 of the cars 0.2 to 1.1, but for their level, 2."""
MAX_SIGMAS = 30.0
"""In either direction, so that exp of sigmas is finite."""


@dataclass(frozen=True, kw_only=True)
class Standard:
    """Mean and standard deviation over healthy takes."""

    mean: float
    deviation: float

    def sigmas(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        sigmas: npt.NDArray[np.float64] = np.clip((values - self.mean) / self.deviation, -MAX_SIGMAS, MAX_SIGMAS)
        return sigmas


def standard_of(values: npt.NDArray[np.float64], *, num_takes: int) -> Standard:
    """The standard of (N,) logarithms of clips of `num_takes` takes. N must be at least 1."""
    variance = (num_takes * values.var() + PRIOR_TAKES * PRIOR_DEVIATION**2) / (num_takes + PRIOR_TAKES)
    return Standard(mean=float(values.mean()), deviation=float(np.sqrt(variance)))
