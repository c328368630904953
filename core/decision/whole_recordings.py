"""From the scores of a recording's clips to one score of the recording, which is anomalous where it reaches the
threshold.

    a fault lasts for a recording    the median of its clips, the lower one of two: more than half are anomalous
    faults come and go               the highest of its clips: one or more are anomalous

The highest of many healthy clips is often above the threshold, so the second rule has more false alarms the longer a
recording is.
"""

import math
from collections.abc import Sequence


def clips_needed(num_clips: int, *, faults_last: bool) -> int:
    """How many of a recording's clips must be anomalous for it to be; num_clips must be at least 1."""
    return num_clips // 2 + 1 if faults_last else 1


def score_of_recording(clip_scores: Sequence[float], num_needed: int) -> float:
    """The highest threshold at which `num_needed` of the clips, from 1 to all, are anomalous. NaN where a score is."""
    return math.nan if any(map(math.isnan, clip_scores)) else sorted(clip_scores)[-num_needed]
