"""How well healthy sound is predicted: bits saved, and how white the innovations are."""

import numpy as np
import pytest

from core.decision.healthy_prediction import HEALTHY_BITS_SAVED, HEALTHY_CORRELATION, healthy_prediction
from core.model.frame_statistics import NUM_OF_SOUND, prediction_statistics
from core.model.scoring import FrameScores

SHAPE = (4, 2, 8000)


def scores_of(z: np.ndarray) -> FrameScores:
    """Of clips (N, C, T) whose innovations are z, and whose surprise is 2 bits."""
    flat = np.full(z.shape[1:], 2.0, np.float32)
    vectors = [prediction_statistics(flat, flat, clip, frame_samples=100, sample_rate_hz=4000) for clip in z]
    vectors = [np.pad(each, [(0, 0), (0, 0), (0, NUM_OF_SOUND)]) for each in vectors]  # what is not looked at
    frames = np.full((*z.shape[:2], z.shape[2] // 100), 2.0, np.float32)
    return FrameScores(surprise=frames, entropy=frames, normalised_residual=frames, statistics=np.stack(vectors))


def test_white_innovations_have_no_correlation_and_coloured_ones_have_their_own() -> None:
    white = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    coloured = white.copy()
    coloured[..., 1:] = 0.6 * white[..., :-1] + 0.8 * white[..., 1:]  # correlation 0.48 at one sample, else 0
    figures = [healthy_prediction(scores_of(z), 3.5) for z in (white, coloured)]
    assert figures[0][HEALTHY_CORRELATION] < 0.02
    assert figures[1][HEALTHY_CORRELATION] == pytest.approx(0.48 / np.sqrt(6), abs=0.02)
    assert [each[HEALTHY_BITS_SAVED] for each in figures] == [1.5, 1.5]
