"""How the statistics of a group go together from one healthy take to the next, and deviations without that.

S statistics. Where the noise of a hall, the load or the speed of a machine moves many bands at once, a clip deviates in
all of them and nothing is wrong, and a fault that moves them otherwise is small beside that. So deviations are
decorrelated, by the rotation that changes them least (ZCA-cor of Kessy, Lewin and Strimmer, "Optimal whitening and
decorrelation", The American Statistician 2018): each stays that of its own band.

    correlation    = share * correlation between takes + (1 - share) * identity
    deviations     = deviations * correlation^(-1/2)

Few takes say little about correlations. How much is kept of what they say is by the oracle approximating shrinkage
(Chen and others, "Shrinkage algorithms for MMSE covariance estimation", IEEE Transactions on Signal Processing 2010),
and PRIOR_TAKES more takes without any correlation are pooled with them, as with every other figure. Channels say how
statistics go together, too, but count as no further takes, because what moves a machine is heard in all of them.
"""

import numpy as np
import numpy.typing as npt

from core.decision.standard import PRIOR_TAKES

Array = npt.NDArray[np.float64]

DECORRELATED = ("spectrum", "spectrum changes by band", "modulation")
"""Groups of statistics of the sound itself. Those of the network's innovations gain nothing by it."""
LEAST_PRODUCT = 1e-9
"""In squared spreads: a statistic whose takes differ by less is constant but for rounding."""


def decorrelation_of(products: Array, freedom: int) -> Array:
    """(S, S): from the sum of products of takes' deviations in spreads, (S, S), which differ in `freedom` independent
    ways.

    The identity where there is one statistic or no freedom, and for a statistic that is constant. NaN stays NaN.
    """
    size = len(products)
    if not np.isfinite(products).all():
        return np.full((size, size), np.nan)
    if size == 1 or freedom < 1:
        return np.eye(size)
    squares = np.diag(products)
    scale = np.sqrt(np.where(squares > LEAST_PRODUCT, squares, np.inf))
    correlation = products / scale / scale[:, None]
    np.fill_diagonal(correlation, 1)
    share = (1 - shrinkage(correlation, freedom)) * freedom / (freedom + PRIOR_TAKES)
    variances, axes = np.linalg.eigh(share * correlation + (1 - share) * np.eye(size))
    decorrelation: Array = axes / np.sqrt(variances) @ axes.T
    return decorrelation


def shrinkage(correlation: Array, freedom: int) -> float:
    """What share of a correlation (S, S), S at least 2, is best replaced by the identity, from 0 to 1: equation 23 of
    Chen and others, whose n is `freedom`, whose p is S, and whose trace is S here."""
    size, squares = len(correlation), float(np.square(correlation).sum())
    excess = squares - size
    if excess <= 0:
        return 1.0
    return min(1.0, ((1 - 2 / size) * squares + size**2) / (freedom + 1 - 2 / size) / excess)
