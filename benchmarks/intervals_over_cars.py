"""Means over cars with 95 % intervals of a bootstrap over cars."""

import numpy as np

from benchmarks.replayed_studies import FloatArray

NUM_DRAWS = 2000


def interval(values: FloatArray, *, sign: str = "+") -> str:
    """The mean over cars with its 95 % interval."""
    low, high = np.percentile(means_of_draws(values), [2.5, 97.5])
    return f"{values.mean():{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def means_of_draws(values: FloatArray) -> FloatArray:
    draws = np.random.default_rng(0).integers(len(values), size=(NUM_DRAWS, len(values)))
    means: FloatArray = values[draws].mean(axis=1)
    return means


def share_collected(gain: FloatArray, possible: FloatArray) -> str:
    """Sum over sum of the cars. Where the possible gain could be 0 there is nothing to collect."""
    sums, sums_possible = means_of_draws(gain), means_of_draws(possible)
    if sums_possible.min() <= 0:
        return "nothing to be had"
    low, high = 100 * np.percentile(sums / sums_possible, [2.5, 97.5])
    return f"{100 * gain.sum() / possible.sum():.0f} % ({low:.0f} to {high:.0f})"
