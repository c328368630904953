"""The metrics of a trial on the clips of one split, as result.json has them."""

from dataclasses import asdict
from typing import Any

import numpy as np

from core.decision.exact_figures import RecordingCounts, exact_figures
from core.decision.metrics import clip_metrics
from hpo.results.judged_trial import JudgedTrial


def split_figures(trial: JudgedTrial, split: str, machine: str | None = None) -> dict[str, Any]:
    """Metrics of one split, for one machine or all, with intervals over recordings. Empty without clips."""
    clips = trial.scored[split]
    rows = np.array([machine in (None, name) for name in clips.machines])
    scores, anomalous = trial.judged[split].clip_scores[rows], clips.is_anomalous[rows]
    takes = [take for take, chosen in zip(clips.recording_ids, rows, strict=True) if chosen]
    if not takes:
        return {}
    metrics = clip_metrics(scores, anomalous, trial.threshold)
    exact = exact_figures(scores, anomalous, takes, trial.threshold, faults_last=trial.detector.faults_last)
    return {
        "f1": metrics.f1,
        "f1_interval": exact.f1_interval,
        "precision": metrics.precision,
        "recall": metrics.recall,
        "recall_interval": exact.recall_interval,
        "false_alarms": exact.false_alarms,
        "false_alarms_interval": exact.false_alarms_interval,
        "auc": metrics.auc,
        "auc_interval": exact.auc_interval,
        "chance": asdict(exact.chance),
        "pauc": metrics.pauc,
        "prevalence": metrics.prevalence,
        "f1_flag_everything": metrics.f1_flag_everything,
        "num_clips": metrics.num_clips,
        "num_recordings": len(set(takes)),
        "recordings": {"anomalous": _counts(exact.anomalous), "normal": _counts(exact.normal)},
    }


def _counts(recordings: RecordingCounts) -> dict[str, Any]:
    return {
        "num_recordings": recordings.num_recordings,
        "num_flagged": recordings.num_flagged,
        "flagged_interval": recordings.interval,
    }
