"""The statistic of a score: of innovations the vector's, of every other score the paper's."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.decision.innovations_statistic import InnovationsStatistic, fit_innovations
from core.decision.postprocess import PostprocessingConfig
from core.decision.statistic import Statistic, fit_scalar

AnyStatistic = Statistic | InnovationsStatistic


def fit_statistic(
    config: PostprocessingConfig,
    scores: npt.NDArray[np.floating],
    machines: Sequence[str],
    takes: Sequence[str],
    *,
    frame_ms: float,
) -> AnyStatistic:
    """Fits scores of calibration clips of these machines and takes: (N, C, F), or (N, C, F, K) of innovations."""
    if scores.ndim == 4:
        return fit_innovations(config, scores.astype(np.float16), machines, takes, frame_ms=frame_ms)
    assert config.baseline != "both", "only innovations are compared with both"
    return fit_scalar(config, scores.astype(np.float32), machines, frame_ms=frame_ms)
