"""Stretches of clips are decided by more than half of their clips, and never cross a recording's end."""

import numpy as np

from benchmarks.whole_stretches import of_stretches
from core.baselines.paired_bootstrap import SplitDecisions


def split_of(scores: list[float], takes: list[str], anomalous: set[str]) -> SplitDecisions:
    return SplitDecisions(
        scores=np.array(scores),
        threshold=2.0,
        is_anomalous=np.array([take in anomalous for take in takes]),
        recording_ids=tuple(takes),
        machines=tuple("fan" for _ in takes),
    )


def test_a_stretch_has_the_lower_median_of_its_clips_and_what_is_left_over_is_left_out() -> None:
    split = split_of([9, 1, 3, 0, 8, 4, 5, 6, 99, 98], list("aaaabbbbbb"), {"b"})
    found = of_stretches(split, 4)
    np.testing.assert_array_equal(found.scores, [1, 5])
    np.testing.assert_array_equal(found.is_anomalous, [False, True])
    assert found.recording_ids == ("a", "b")
    np.testing.assert_array_equal(of_stretches(split, 2).scores, [1, 0, 4, 5, 98])


def test_a_recording_that_is_shorter_is_one_stretch() -> None:
    found = of_stretches(split_of([7, 2, 3, 5], list("abbb"), set()), 5)
    np.testing.assert_array_equal(found.scores, [7, 3])
    assert (found.recording_ids, found.machines, found.threshold) == (("a", "b"), ("fan", "fan"), 2.0)
