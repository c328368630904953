"""Innovations: standard normal where the predicted distribution is right, and the same however a clip is cut."""

import numpy as np
import pytest
from scipy import stats

from core.model.innovations import innovations, uniform_draws

NUM_SAMPLES = 20_000


def test_draws_are_uniform_and_independent_of_channel_and_time() -> None:
    draws = uniform_draws(0, NUM_SAMPLES, 2)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert stats.kstest(draws[0], "uniform").pvalue > 1e-3
    correlations = np.corrcoef([draws[0, 1:], draws[0, :-1], draws[1, 1:]])
    assert np.abs(correlations[np.triu_indices(3, 1)]).max() < 4 / np.sqrt(NUM_SAMPLES)


def test_a_sample_has_the_same_draw_in_every_clip_that_holds_it() -> None:
    np.testing.assert_array_equal(uniform_draws(0, 100, 3)[:2, 40:], uniform_draws(40, 60, 2))


@pytest.mark.parametrize("num_levels", [2, 8])
def test_of_a_right_prediction_they_are_standard_normal(num_levels: int) -> None:
    """Of coarse levels, too: without the draw inside a level, z would have `num_levels` values."""
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(num_levels))
    codes = random.choice(num_levels, size=(1, NUM_SAMPLES), p=p)
    below = np.concatenate([[0.0], np.cumsum(p)])[codes].astype(np.float32)
    surprise = -np.log2(p)[codes].astype(np.float32)
    z = innovations(surprise, below, uniform_draws(0, NUM_SAMPLES, 1))
    assert stats.kstest(z[0], "norm").pvalue > 1e-3


def test_of_a_prediction_that_is_too_sure_they_are_too_wide() -> None:
    random = np.random.default_rng(0)
    edges = np.linspace(-4, 4, 65)
    codes = np.clip(np.digitize(random.normal(0, 1.5, (1, NUM_SAMPLES)), edges) - 1, 0, 63)
    cdf = stats.norm.cdf(edges)
    z = innovations(
        (-np.log2(np.diff(cdf)))[codes].astype(np.float32),
        cdf[codes].astype(np.float32),
        uniform_draws(0, NUM_SAMPLES, 1),
    )
    assert z.std() == pytest.approx(1.5, abs=0.1)


def test_an_impossible_sample_stays_finite() -> None:
    surprise, below = np.array([[200.0, 200.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    z = innovations(surprise, below, np.zeros((1, 2), np.float32))
    assert np.isfinite(z).all()
    assert z[0, 0] < -5
    assert z[0, 1] > 5
