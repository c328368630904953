"""Simulated machines: a take repeats, a fault changes it, and every machine and every hall is another."""

import numpy as np
import pytest

from benchmarks.simulated_machines import MACHINES, NUM_SAMPLES, drawn_from, hall, in_the_hall, recorded

FAULTS = [(kind, fault) for kind, (_, faults) in MACHINES.items() for fault in faults]


@pytest.mark.parametrize("kind", MACHINES)
def test_a_take_repeats_to_the_bit_and_is_unlike_others(kind: str) -> None:
    take, again, another, of_another_machine = (
        in_the_hall(kind, seed, number, "") for seed, number in ((1, 0), (1, 0), (1, 1), (2, 0))
    )
    assert take.shape == (NUM_SAMPLES,)
    assert np.isfinite(take).all()
    np.testing.assert_array_equal(take, again)
    for other in (another, of_another_machine):
        assert abs(np.corrcoef(take, other)[0, 1]) < 0.3


@pytest.mark.parametrize(("kind", "fault"), FAULTS)
def test_a_fault_changes_a_take_of_the_same_machine_and_not_its_loudness_beyond_6_db(kind: str, fault: str) -> None:
    healthy, faulty = recorded(kind, 1, 5, ""), recorded(kind, 1, 5, fault)
    assert np.sqrt(np.mean(np.square(faulty - healthy))) > 0.05 * np.sqrt(np.mean(np.square(healthy)))
    assert abs(20 * np.log10(faulty.std() / healthy.std())) < 6


def test_no_two_kinds_share_their_noise() -> None:
    noises = [hall(drawn_from(kind, 1, 4, 0)) for kind in MACHINES]
    correlations = np.corrcoef(noises) - np.eye(len(noises))
    assert np.abs(correlations).max() < 0.3
