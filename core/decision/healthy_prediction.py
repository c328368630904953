"""How well a network predicts healthy sound that no gradient used: the calibration clips.

Where no real fault was heard, this is all that is known of a network beside the injected faults that it finds. It is
logged every epoch under the names below, and chooses nothing.
"""

import numpy as np

from core.model.frame_statistics import LAGS, statistic_groups
from core.model.scoring import FrameScores

HEALTHY_BITS_SAVED = "healthy_bits_saved"
"""Bits a sample saved against prediction without memory."""
HEALTHY_CORRELATION = "healthy_correlation"
"""Root mean square correlation of the innovations with those 1 to 8 samples before: 0 where they are white, which is
where nothing is left to predict. Only of the score `innovations`, for which the products are kept."""


def healthy_prediction(calibration: FrameScores, memoryless_bits: float) -> dict[str, float]:
    """`memoryless_bits` is the loss of prediction without memory on the same clips."""
    figures = {HEALTHY_BITS_SAVED: memoryless_bits - float(calibration.surprise.mean())}
    num_channels = calibration.surprise.shape[1]
    if calibration.statistics.shape[-1]:
        first = statistic_groups(num_channels)["whiteness"].start
        products = calibration.statistics[..., first : first + len(LAGS)].astype(np.float64)
        figures[HEALTHY_CORRELATION] = float(np.sqrt(np.square(products.mean(axis=(0, 1, 2))).mean()))
    return figures
