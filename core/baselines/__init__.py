"""Baselines that WaveNet is compared with, behind one interface."""

from collections.abc import Sequence

from core.baselines.alternative import Alternative, Scorer
from core.baselines.autoencoder import autoencoder, idnn
from core.baselines.gaussian import Gaussian
from core.baselines.loudness import flatness, loudness, loudness_scores
from core.baselines.lstm import lstm

__all__ = [
    "Alternative",
    "Gaussian",
    "Scorer",
    "autoencoder",
    "families",
    "flatness",
    "idnn",
    "loudness",
    "loudness_scores",
    "lstm",
]


STEPS_AND_RATES = ((1000, 1e-3), (3000, 1e-3))
"""Steps of training and learning rates that networks are tried with, in this order."""


def families(
    steps_and_rates: Sequence[tuple[int, float]] = STEPS_AND_RATES,
) -> dict[str, tuple[Alternative, ...]]:
    """Every kind of alternative by its name, with the variants among which validation chooses."""
    kinds: list[tuple[Alternative, ...]] = [
        tuple(make(num_steps=num_steps, learning_rate=rate) for num_steps, rate in steps_and_rates)
        for make in (autoencoder, idnn, lstm)
    ]
    kinds += [(Gaussian(),), (flatness(),), (loudness(),)]
    return {variants[0].name: variants for variants in kinds}
