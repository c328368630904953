"""What WaveNet has to beat: detectors behind one interface, and the list of those it is compared with."""

from core.baselines.alternative import Alternative, Scorer
from core.baselines.autoencoder import autoencoder, idnn
from core.baselines.gaussian import Gaussian
from core.baselines.loudness import flatness, loudness, loudness_scores
from core.baselines.lstm import lstm

__all__ = [
    "Alternative",
    "Gaussian",
    "Scorer",
    "all_alternatives",
    "autoencoder",
    "flatness",
    "idnn",
    "loudness",
    "loudness_scores",
    "lstm",
]


def all_alternatives(*, num_steps: int = 1000) -> tuple[Alternative, ...]:
    """Every alternative, the networks trained for so many steps of Adam."""
    return (
        autoencoder(num_steps=num_steps),
        idnn(num_steps=num_steps),
        lstm(num_steps=num_steps),
        Gaussian(),
        flatness(),
        loudness(),
    )
