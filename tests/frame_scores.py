"""Frame scores for tests that look at one of them."""

import numpy as np
import numpy.typing as npt

from core.model.frame_statistics import num_statistics
from core.model.scoring import FrameScores, Scores


def frame_scores(surprise: Scores, entropy: Scores | None = None, residual: Scores | None = None) -> FrameScores:
    """(N, C, F) scores; those that are not given are the surprise, and the statistics are 0."""
    statistics: npt.NDArray[np.float16] = np.zeros((*surprise.shape, num_statistics(surprise.shape[1])), np.float16)
    return FrameScores(
        surprise=surprise,
        entropy=surprise if entropy is None else entropy,
        normalised_residual=surprise if residual is None else residual,
        statistics=statistics,
    )
