"""Longer clips put together from shorter ones, decided as `detect` decides about whole recordings."""

import numpy as np

from core.baselines.paired_bootstrap import SplitDecisions
from core.decision.whole_recordings import clips_needed, score_of_recording


def of_stretches(split: SplitDecisions, num_clips: int) -> SplitDecisions:
    """Each `num_clips` neighbouring clips of a recording as one; all clips of a shorter recording.

    Clips that are left at the end of a recording are left out. The clips must be in the order of time.
    """
    takes, scores, first = np.array(split.recording_ids), [], []
    for take in dict.fromkeys(split.recording_ids):
        own = np.flatnonzero(takes == take)
        length = min(num_clips, len(own))
        for start in range(0, len(own) - length + 1, length):
            clips = own[start : start + length]
            scores.append(score_of_recording(split.scores[clips].tolist(), clips_needed(length, faults_last=True)))
            first.append(clips[0])
    return SplitDecisions(
        scores=np.array(scores),
        threshold=split.threshold,
        is_anomalous=split.is_anomalous[first],
        recording_ids=tuple(takes[first].tolist()),
        machines=tuple(np.array(split.machines)[first].tolist()),
    )
