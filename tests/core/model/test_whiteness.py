"""Whiteness: what white noise gives, what departs from it, and by how many bits."""

import numpy as np
import pytest
from scipy.signal import lfilter

from core.model.innovations import Samples
from core.model.whiteness import MOST_UNLEARNED_BITS, NUM_BINS, NUM_LAGS, Whiteness, whiteness_of

NUM_SAMPLES = 200_000


def white(num_channels: int = 1, num_samples: int = NUM_SAMPLES, *, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).normal(size=(num_channels, num_samples)).astype(np.float32)


def coloured(correlation: float) -> Samples:
    """A first-order autoregression of variance 1."""
    return lfilter([np.sqrt(1 - correlation**2)], [1, -correlation], white()).astype(np.float32)


def of(*clips: Samples) -> Whiteness:
    return whiteness_of(clips, len(clips[0]))


def test_white_noise_is_flat_and_tells_nothing() -> None:
    whiteness = of(white())
    np.testing.assert_allclose(whiteness.shares, 1 / NUM_BINS, rtol=0.05)
    assert whiteness.means == pytest.approx(0, abs=0.01)
    assert whiteness.variances == pytest.approx(1, abs=0.01)
    assert np.abs(whiteness.autocorrelations[:, 1:]).max() < 0.01
    assert whiteness.unlearned_bits == pytest.approx(0, abs=1e-3)


def test_a_shift_is_not_flat_and_tells_what_it_would_save() -> None:
    """A shift of m costs m ** 2 / 2 nats a sample: the divergence of two normal distributions."""
    whiteness = of(white() + np.float32(0.5))
    assert whiteness.shares[0, -1] > 2 * whiteness.shares[0, 0]
    assert whiteness.means == pytest.approx(0.5, abs=0.01)
    assert whiteness.unlearned_bits == pytest.approx(0.5**2 / 2 / np.log(2), rel=0.1)


@pytest.mark.parametrize(("deviation", "is_higher_in_the_middle"), [(0.8, True), (1.25, False)])
def test_the_histogram_shows_whether_predictions_are_too_sure(deviation: float, is_higher_in_the_middle: bool) -> None:
    whiteness = of(white() * np.float32(deviation))
    middle = whiteness.shares[0, NUM_BINS // 2]
    assert (middle > whiteness.shares[0, 0]) == (middle > whiteness.shares[0, -1]) == is_higher_in_the_middle
    assert whiteness.variances == pytest.approx(deviation**2, rel=0.02)


@pytest.mark.parametrize("correlation", [0.3, -0.6])
def test_colour_tells_what_a_linear_prediction_saves(correlation: float) -> None:
    whiteness = of(coloured(correlation))
    np.testing.assert_allclose(whiteness.autocorrelations[0, :4], correlation ** np.arange(4), atol=0.01)
    assert whiteness.unlearned_bits == pytest.approx(-np.log2(1 - correlation**2) / 2, abs=0.01)


def test_few_samples_of_white_noise_are_not_taken_for_something_unlearned() -> None:
    told = [of(white(num_samples=800, seed=seed)).unlearned_bits[0] for seed in range(20)]
    assert max(told) < MOST_UNLEARNED_BITS


def test_a_clip_in_pieces_gives_the_same_sums_but_for_pairs_across_the_cut() -> None:
    z, cut = white(2, 5000), 1234
    whole, pieces = of(z), of(z[:, :cut], z[:, cut:])
    np.testing.assert_array_equal(pieces.counts, whole.counts)
    assert pieces.num_samples == whole.num_samples
    np.testing.assert_allclose(pieces.sums, whole.sums)
    across = [(z[:, cut : cut + lag] * z[:, cut - lag : cut]).sum(axis=-1) for lag in range(NUM_LAGS + 1)]
    np.testing.assert_allclose(pieces.products + np.stack(across, axis=-1), whole.products, atol=1e-2)


def test_autocorrelations_are_those_of_the_centred_clips() -> None:
    clips = [coloured(0.6)[:, first : first + 3000] + np.float32(0.3) for first in (0, 5000)]
    mean = np.concatenate(clips, axis=-1).mean(dtype=np.float64)
    expected = sum(np.correlate(clip[0] - mean, clip[0] - mean, "full")[2999 : 2999 + NUM_LAGS + 1] for clip in clips)
    np.testing.assert_allclose(of(*clips).autocorrelations[0], expected / expected[0], atol=1e-5)


def test_channels_are_not_mixed() -> None:
    both = of(np.concatenate([white(), coloured(0.9)]))
    np.testing.assert_array_equal(both.shares[0], of(white()).shares[0])
    np.testing.assert_array_equal(both.unlearned_bits[:1], of(white()).unlearned_bits)
    assert both.unlearned_bits[1] > 1


def test_clips_shorter_than_the_lags_have_figures() -> None:
    whiteness = whiteness_of([white(num_samples=NUM_LAGS // 2, seed=seed) for seed in range(500)], 1)
    np.testing.assert_allclose(whiteness.pair_sums[:, NUM_LAGS // 2 :], 0, atol=1e-3)
    assert np.isfinite(whiteness.autocorrelations).all()
    assert whiteness.unlearned_bits[0] < 0.01


def test_without_clips_every_figure_is_nan() -> None:
    nothing = whiteness_of([], 2)
    figures = (nothing.shares, nothing.means, nothing.variances, nothing.autocorrelations, nothing.unlearned_bits)
    assert all(len(figure) == 2 and np.isnan(figure).all() for figure in figures)


def test_nan_is_not_called_white() -> None:
    z = white()
    z[0, 7] = np.nan
    assert np.isnan(of(z).unlearned_bits).all()
