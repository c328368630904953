"""Which microphones hear the faults: how well a detector with several would tell clips apart by each of them alone."""

from typing import Any

from core.decision.exact_figures import num_independent_pairs, share_interval
from core.decision.metrics import FloatArray, auc
from core.decision.postprocess import clip_scores, event_thresholds
from hpo.results.judged_trial import JudgedTrial
from hpo.results.missed_faults import SPLITS


def microphone_rows(trial: JudgedTrial) -> list[dict[str, Any]]:
    """`microphones` of result.json: one row each, with its number and the AUC of both splits. Empty for one alone.

    The network hears all of them. Only what is judged is that of one microphone.
    """
    numbers = trial.detector.microphones
    if len(numbers) == 1:
        return []
    return [
        {"microphone": number, **{split: _figures(trial, split, channel) for split in SPLITS}}
        for channel, number in enumerate(numbers)
    ]


def _figures(trial: JudgedTrial, split: str, channel: int) -> dict[str, Any]:
    """An AUC without clips of either label is NaN."""
    clips = trial.scored[split]
    area = auc(scores_of_channel(trial, split, channel), clips.is_anomalous)
    takes = list(zip(clips.recording_ids, clips.is_anomalous, strict=True))
    anomalous, normal = ([take for take, is_anomalous in takes if is_anomalous == label] for label in (True, False))
    return {"auc": area, "auc_interval": share_interval(area, num_independent_pairs(anomalous, normal))}


def scores_of_channel(trial: JudgedTrial, split: str, channel: int) -> FloatArray:
    """(N,) clip scores in sigmas, as if there were this channel alone."""
    statistic = trial.detector.statistic
    sigmas = trial.judged[split].channel_sigmas[:, channel]
    scores: FloatArray = clip_scores(event_thresholds(sigmas, statistic.config, frame_ms=statistic.frame_ms))
    return scores
