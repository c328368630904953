"""One decision about a recording agrees with how many of its clips are anomalous."""

import math

import numpy as np
import pytest

from core.decision.exact_figures import exact_figures
from core.decision.whole_recordings import clips_needed, score_of_recording


@pytest.mark.parametrize("faults_last", [True, False])
@pytest.mark.parametrize("num_clips", [1, 2, 3, 4, 5, 8])
def test_it_is_anomalous_where_more_than_half_of_its_clips_are_or_one_is(num_clips: int, *, faults_last: bool) -> None:
    num_needed = clips_needed(num_clips, faults_last=faults_last)
    for num_anomalous in range(num_clips + 1):
        scores = np.where(np.arange(num_clips) < num_anomalous, 3.0, 1.0)
        is_anomalous = score_of_recording(scores, num_needed) >= 2
        assert is_anomalous == (2 * num_anomalous > num_clips if faults_last else num_anomalous > 0)


def test_a_clip_without_a_number_leaves_the_recording_without_one() -> None:
    assert math.isnan(score_of_recording([1.0, math.nan, 3.0], 2))


def test_the_report_counts_recordings_by_the_same_rule() -> None:
    scores, takes = np.array([3.0, 1, 1, 3, 3, 1, 0, 0, 0]), [*"aaabbbccc"]
    is_anomalous = np.array([False] * 6 + [True] * 3)
    for faults_last, num_flagged in ((True, 1), (False, 2)):
        figures = exact_figures(scores, is_anomalous, takes, 2.0, faults_last=faults_last)
        assert (figures.normal.num_flagged, figures.anomalous.num_flagged) == (num_flagged, 0)
