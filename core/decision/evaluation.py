"""Frame scores to the figures of an epoch: mu and sigma from calibration, one threshold for validation and test."""

from collections.abc import Mapping, Sequence

from core.data.clips import ClipSet, Spans
from core.decision.event_metrics import EventCounts, event_counts, event_metrics
from core.decision.fitting import AnyStatistic, fit_statistic
from core.decision.metrics import balanced_f1, clip_metrics, expected_f1
from core.decision.postprocess import PostprocessingConfig, events
from core.decision.statistic import Judgement
from core.model.scoring import FrameScores, ScoringConfig


def evaluate(
    scores: Mapping[str, FrameScores],
    judged: Mapping[str, ClipSet],
    *,
    scoring: ScoringConfig,
    postprocessing: PostprocessingConfig,
    context_samples: int,
    sample_rate_hz: int,
) -> tuple[AnyStatistic, dict[str, float]]:
    """The statistic, and figures named `val_...` and `test_...`.

    They are losses in bits per sample, F1 and AUC, of validation also the expected and the balanced F1, and where the
    places of the faults are known, F1 of events and of segments. The test figures reach nothing that chooses.
    """
    statistic = fit_statistic(
        postprocessing,
        scores["calibration"].of(scoring.score),
        judged["calibration"].machines,
        judged["calibration"].recording_ids,
        frame_ms=scoring.frame_ms,
    )
    frame_s = scoring.frame_samples(sample_rate_hz) / sample_rate_hz
    figures = _losses(scores, judged)
    for name, prefix in (("validation", "val"), ("test", "test")):
        clips = judged[name]
        judgement = statistic.judge(scores[name].of(scoring.score), clips.machines)
        metrics = clip_metrics(judgement.clip_scores, clips.is_anomalous, postprocessing.threshold_sigmas)
        figures |= {f"{prefix}_f1": metrics.f1, f"{prefix}_auc": metrics.auc}
        if name == "validation":
            judged_clips = (judgement.clip_scores, clips.is_anomalous, postprocessing.threshold_sigmas)
            figures |= {"val_expected_f1": expected_f1(*judged_clips), "val_balanced_f1": balanced_f1(*judged_clips)}
        if clips.events is not None:
            first_s = context_samples / sample_rate_hz
            counts = count_events(
                judgement, clips.events, postprocessing.threshold_sigmas, first_s=first_s, frame_s=frame_s
            )
            found = event_metrics(counts)
            figures |= {f"{prefix}_event_f1": found.event_f1, f"{prefix}_segment_f1": found.segment_f1}
    return statistic, figures


def _losses(scores: Mapping[str, FrameScores], judged: Mapping[str, ClipSet]) -> dict[str, float]:
    test, anomalous = scores["test"].surprise, judged["test"].is_anomalous
    return {
        "val_loss": float(scores["validation"].surprise.mean()),
        "test_loss": float(test.mean()),
        "test_loss_normal": float(test[~anomalous].mean()),
        "test_loss_anomalous": float(test[anomalous].mean()),
    }


def count_events(
    judgement: Judgement, events_s: Sequence[Spans], threshold: float, *, first_s: float, frame_s: float
) -> EventCounts:
    """Counts events of clips in which the places of the faults are known.

    Only the scored part of a clip counts, from `first_s` to the last whole frame. A fault that begins before it counts
    as one that begins with it.
    """
    scored_s = judgement.thresholds.shape[1] * frame_s
    labelled = [
        [(max(0.0, a - first_s), b - first_s) for a, b in spans if b > first_s and a < first_s + scored_s]
        for spans in events_s
    ]
    flagged = [
        [(event.first_frame * frame_s, event.end_frame * frame_s) for event in events(row, threshold)]
        for row in judgement.thresholds
    ]
    return event_counts(flagged, labelled, clip_seconds=scored_s)
