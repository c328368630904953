"""Decorrelation: what healthy takes do together is no fault, and few takes say nothing about it."""

import numpy as np
import pytest
from sklearn.covariance import oas

from core.decision.normal_sound import NormalSound, fit_vectors
from core.decision.standard import PRIOR_TAKES
from core.decision.take_correlation import decorrelation_of, shrinkage

SIZE = 12


def takes_of(num: int, *, seed: int, together: float = 2.0) -> np.ndarray:
    """(num, SIZE): what moves all statistics together, and what moves each of them."""
    random = np.random.default_rng(seed)
    return together * random.standard_normal((num, 1)) + random.standard_normal((num, SIZE))


def products_of(takes: np.ndarray) -> np.ndarray:
    centred = takes - takes.mean(axis=0)
    return centred.T @ centred


def test_of_many_takes_nothing_stays_correlated() -> None:
    decorrelation = decorrelation_of(products_of(takes_of(5000, seed=0)), 4999)
    correlation = np.corrcoef(takes_of(5000, seed=1) / np.sqrt(5) @ decorrelation, rowvar=False)
    assert np.abs(correlation - np.eye(SIZE)).max() < 0.1


def test_a_deviation_stays_that_of_its_own_statistic() -> None:
    decorrelation = decorrelation_of(products_of(takes_of(200, seed=0)), 199)
    np.testing.assert_allclose(decorrelation, decorrelation.T)
    assert (np.abs(decorrelation).argmax(axis=0) == np.arange(SIZE)).all()


def test_units_do_not_count() -> None:
    takes, units = takes_of(30, seed=0), np.geomspace(1e-3, 1e3, SIZE)
    np.testing.assert_allclose(
        decorrelation_of(products_of(takes * units), 29), decorrelation_of(products_of(takes), 29)
    )


@pytest.mark.parametrize("num_takes", [2, 5, 30, 300])
def test_the_shrinkage_is_that_of_scikit_learn(num_takes: int) -> None:
    """Of standardised takes whose mean is known, which differ in as many ways as there are of them."""
    takes = takes_of(num_takes, seed=0)
    takes /= np.sqrt(np.square(takes).mean(axis=0))
    _, expected = oas(takes, assume_centered=True)
    p = SIZE  # scikit-learn leaves out the terms of 2 / p, which are small where there are many statistics
    correlation = takes.T @ takes / num_takes
    squares = np.square(correlation).sum()
    ours = shrinkage(correlation, num_takes)
    published = ((1 - 2 / p) * squares + p**2) / ((num_takes + 1 - 2 / p) * (squares - p))
    assert ours == pytest.approx(min(1, published))
    assert ours == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize(("size", "freedom"), [(1, 50), (SIZE, 0)])
def test_what_cannot_be_known_changes_nothing(size: int, freedom: int) -> None:
    np.testing.assert_array_equal(
        decorrelation_of(products_of(takes_of(50, seed=0))[:size, :size], freedom), np.eye(size)
    )


def test_the_fewer_takes_the_less_is_believed() -> None:
    def most(num_takes: int) -> float:
        return float(
            np.abs(decorrelation_of(products_of(takes_of(num_takes, seed=0)), num_takes - 1) - np.eye(SIZE)).max()
        )

    assert most(2) < most(PRIOR_TAKES) < most(60) < most(1000)


def test_a_statistic_that_never_deviates_is_left_alone() -> None:
    takes = takes_of(50, seed=0)
    takes[:, 3] = 7
    np.testing.assert_allclose(decorrelation_of(products_of(takes), 49)[3], np.eye(SIZE)[3], atol=1e-12)


def test_what_is_no_number_stays_none() -> None:
    takes = takes_of(50, seed=0)
    takes[0, 3] = np.nan
    assert np.isnan(decorrelation_of(products_of(takes), 49)).all()


def test_a_fault_that_moves_statistics_otherwise_than_takes_do_stands_out() -> None:
    def scores(normal: NormalSound, clips: np.ndarray) -> np.ndarray:
        return normal.scores(normal.deviations({"spectrum": clips[:, None]}, "fan"))

    takes = np.repeat(takes_of(60, seed=0), 2, axis=0)
    takes += 0.1 * np.random.default_rng(1).standard_normal(takes.shape)
    normal = fit_vectors({"spectrum": takes[:, None]}, ["fan"] * 120, [str(each // 2) for each in range(120)]).normal
    healthy = takes_of(200, seed=2)
    together, apart = healthy + 2.5, healthy + 2.5 * np.resize([1, -1], SIZE)
    assert np.median(scores(normal, healthy)) < 1
    assert np.median(scores(normal, apart)) > 3 > np.median(scores(normal, together))
