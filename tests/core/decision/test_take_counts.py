"""What takes add to an F1, and the standard error that follows from it."""

from dataclasses import replace

import numpy as np
import pytest

from core.decision.metrics import F1_BY_NAME, balanced_f1
from core.decision.take_counts import TakeCounts, standard_error
from hpo.results.winner import is_above

TAKES, CLIPS_A_TAKE = 40, 3


def counts(seed: int, *, shift: float = 2.0, objective: str = "expected_f1", num_takes: int = TAKES) -> TakeCounts:
    scores, labels, takes = clips(seed, shift=shift, num_takes=num_takes)
    return TakeCounts.of(scores, labels, takes, threshold=1.0, objective=objective)


def clips(seed: int, *, shift: float = 2.0, num_takes: int = TAKES) -> tuple[np.ndarray, np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    labels = np.arange(num_takes) % 2 == 0
    of_take = random.normal(shift * labels, 1.0)
    scores = np.repeat(of_take, CLIPS_A_TAKE) + random.normal(0, 0.3, num_takes * CLIPS_A_TAKE)
    return scores, np.repeat(labels, CLIPS_A_TAKE), [f"take {i}" for i in range(num_takes) for _ in range(CLIPS_A_TAKE)]


@pytest.mark.parametrize("objective", F1_BY_NAME)
def test_the_counts_give_the_objective_again(objective: str) -> None:
    scores, labels, _ = clips(1)
    of = counts(1, objective=objective)
    f1 = 2 * sum(of.hits) / (sum(of.flagged) + sum(of.anomalous))
    assert f1 == pytest.approx(F1_BY_NAME[objective](scores, labels, 1.0), abs=1e-5)
    assert TakeCounts.of_lists(of.as_lists()) == of


@pytest.mark.parametrize("objective", F1_BY_NAME)
def test_the_counts_give_the_objective_again_where_most_takes_are_anomalous(objective: str) -> None:
    scores, labels, takes = clips(1)
    rows = np.flatnonzero(labels | (np.arange(len(labels)) % (4 * CLIPS_A_TAKE) < 2 * CLIPS_A_TAKE))
    of = TakeCounts.of(scores[rows], labels[rows], [takes[row] for row in rows], threshold=1.0, objective=objective)
    f1 = 2 * sum(of.hits) / (sum(of.flagged) + sum(of.anomalous))
    assert f1 == pytest.approx(F1_BY_NAME[objective](scores[rows], labels[rows], 1.0), abs=1e-5)
    everything = F1_BY_NAME[objective](np.full(len(rows), 1e6), labels[rows], 1.0)
    assert of.f1_flag_everything == pytest.approx(everything, abs=1e-5)
    assert TakeCounts.of_lists(of.as_lists()) == of


@pytest.mark.parametrize("num_anomalous", range(2, 12))
def test_flagging_everything_is_no_better_than_flagging_everything(num_anomalous: int) -> None:
    """Also where a normal clip counts 5 / 3 times, which no decimal number is."""
    for num_normal in range(1, num_anomalous):
        labels = np.arange(num_anomalous + num_normal) < num_anomalous
        scores, takes = np.full(len(labels), 99.0), [f"take {index}" for index in range(len(labels))]
        of = TakeCounts.of(scores, labels, takes, threshold=1.0, objective="balanced_f1")
        assert not is_above(balanced_f1(scores, labels, 1.0), of.f1_flag_everything)


def test_the_order_of_the_clips_does_not_matter() -> None:
    scores, labels, takes = clips(1)
    order = np.random.default_rng(0).permutation(len(scores))
    shuffled = [takes[row] for row in order]
    other = TakeCounts.of(scores[order], labels[order], shuffled, threshold=1.0, objective="expected_f1")
    for name, values in counts(1).as_lists().items():
        assert other.as_lists()[name] == pytest.approx(values)


def test_the_standard_error_is_that_of_drawn_takes() -> None:
    one, other = counts(1), counts(2, shift=1.0)
    random, differences = np.random.default_rng(0), []
    anomalous = np.array(one.anomalous) > 0
    for _ in range(4000):
        rows = np.concatenate([random.choice(np.flatnonzero(of), int(of.sum())) for of in (anomalous, ~anomalous)])
        drawn = []
        for side in (one, other):
            hits, flagged, there = (np.array(each)[rows].sum() for each in (side.hits, side.flagged, side.anomalous))
            drawn.append(2 * hits / (flagged + there))
        differences.append(drawn[0] - drawn[1])
    assert standard_error([one], [other], num_seeds=1) == pytest.approx(np.std(differences), rel=0.1)


def test_what_two_detectors_share_cancels() -> None:
    assert standard_error([counts(1)], [counts(1)], num_seeds=1) == 0
    apart = standard_error([counts(1)], [counts(2)], num_seeds=1)
    assert apart is not None
    assert apart > 0


def test_more_takes_have_a_smaller_error() -> None:
    few, many = (
        standard_error([counts(1, num_takes=n)], [counts(2, num_takes=n)], num_seeds=1) for n in (TAKES, 16 * TAKES)
    )
    assert few is not None
    assert many is not None
    assert many < few / 2.5


def test_a_failed_seed_halves_the_influence_of_the_other() -> None:
    nothing = counts(1, shift=2.0)
    flat = replace(nothing, hits=(0.0,) * TAKES, flagged=(0.0,) * TAKES)  # an F1 of 0 on all takes
    whole = standard_error([nothing], [flat], num_seeds=1)
    assert whole is not None
    assert standard_error([nothing], [flat, flat], num_seeds=2) == pytest.approx(whole / 2)


def test_nothing_is_known_of_other_takes_or_without_counts() -> None:
    assert standard_error([counts(1)], [counts(1, num_takes=38)], num_seeds=1) is None
    assert standard_error([counts(1)], [], num_seeds=1) is None
    assert standard_error([], [counts(1)], num_seeds=1) is None


def test_a_score_that_is_not_finite_is_not_flagged() -> None:
    scores = np.array([np.nan, -np.inf, 3.0])
    labels = np.array([True, False, True])
    of = TakeCounts.of(scores, labels, ["a", "b", "c"], threshold=1.0, objective="expected_f1")
    assert of.flagged[:2] == (0.0, 0.0)
    assert np.isfinite(of.influences).all()
