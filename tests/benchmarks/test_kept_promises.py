"""Bounds and promises on scores whose distribution is known."""

import numpy as np
import pytest

from benchmarks.kept_promises import bounds_hold, false_alarms_of_promise, share_of_bounds
from benchmarks.replayed_studies import Judged, ReplayedTrial


@pytest.fixture
def trial() -> ReplayedTrial:
    """Normal scores, two sigmas apart, 600 fresh ones and a study's 36."""
    random = np.random.default_rng(0)
    is_anomalous, is_fresh_anomalous = np.arange(36) < 20, np.arange(600) < 300
    judged = Judged(
        validation=random.standard_normal(36) + 2 * is_anomalous,
        is_anomalous=is_anomalous,
        fresh=random.standard_normal(600) + 2 * is_fresh_anomalous,
        is_fresh_anomalous=is_fresh_anomalous,
    )
    return ReplayedTrial(judged=judged, threshold=1.0)


def test_bounds_hold_in_about_as_many_draws_as_they_say_or_in_more(trial: ReplayedTrial) -> None:
    shares = share_of_bounds(trial, 300, np.random.default_rng(1))
    assert all(share >= 0.93 for share in shares.values())
    assert shares["recall"] < 1.0, "an exact bound is not as wide as can be"


def test_a_bound_does_not_hold_where_the_truth_is_far_worse_than_the_test_set() -> None:
    labels = np.arange(36) < 20
    scores = np.where(labels, 5.0, -5.0)
    truth = {"recall": 0.5, "false alarms": 0.5, "F1": 0.5, "AUC": 0.5}
    assert not any(bounds_hold(scores, labels, 0.0, truth).values())


def test_a_promise_is_kept_in_the_mean_from_19_takes_on_and_an_estimate_need_not_be(trial: ReplayedTrial) -> None:
    random = np.random.default_rng(2)
    assert false_alarms_of_promise(trial, 19, 300, random) == pytest.approx(0.05, abs=0.012)
    assert false_alarms_of_promise(trial, 40, 300, random) <= 0.06
