"""Decorrelation: what healthy takes do together is no fault, and few takes say nothing about it."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.covariance import oas

from core.decision.metrics import auc
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


@pytest.mark.parametrize("num_takes", [30, 100, 300])
def test_the_shrinkage_is_nearly_that_of_scikit_learn(num_takes: int) -> None:
    """Which leaves out the terms of 2 / p of the published equation: they are small where there are many statistics."""
    takes = np.repeat(takes_of(num_takes, seed=0), 25, axis=1)
    takes += np.random.default_rng(1).standard_normal(takes.shape)
    takes /= np.sqrt(np.square(takes).mean(axis=0))
    _, expected = oas(takes, assume_centered=True)
    assert 0 < expected < 0.5
    assert shrinkage(takes.T @ takes / num_takes, num_takes) == pytest.approx(expected, rel=0.01)


def test_few_takes_whose_statistics_are_independent_are_left_nearly_alone() -> None:
    decorrelation = decorrelation_of(products_of(takes_of(20, seed=0, together=0)), 19)
    assert np.abs(decorrelation - np.eye(SIZE)).max() < 0.1


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
    """Takes differ most in three ways. If each statistic were judged by itself, the fault would be lost among them."""
    ways = np.linalg.qr(np.random.default_rng(0).standard_normal((SIZE, SIZE)))[0]

    def takes_of_machine(num: int, *, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        return 6 * random.standard_normal((num, 3)) @ ways[:3] + random.standard_normal((num, SIZE))

    def area(normal: NormalSound) -> float:
        healthy = takes_of_machine(200, seed=2)
        both = np.concatenate([healthy, healthy + 4 * ways[3]])[:, None]
        scores = normal.scores(normal.deviations({"spectrum": both}, "fan"))
        return auc(scores, np.repeat([False, True], 200))

    vectors = {"spectrum": takes_of_machine(100, seed=1)[:, None]}
    normal = fit_vectors(vectors, ["fan"] * 100, [str(take) for take in range(100)]).normal
    by_itself = replace(normal, decorrelations={"spectrum": np.eye(SIZE)})
    assert area(normal) > 0.85
    assert area(normal) > area(by_itself) + 0.05
