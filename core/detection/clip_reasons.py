"""Why the clips of a recording are strange, and which of the reasons an event of the recording has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.decision.checkpoint import Detector
from core.decision.innovations_statistic import InnovationsStatistic
from core.decision.postprocess import Event, events
from core.decision.reasons import reasons_of
from core.decision.statistic import Judgement
from core.model.scoring import INNOVATIONS, FrameScores


@dataclass(frozen=True, kw_only=True)
class ClipReason:
    """What makes an event of a clip strange."""

    event: Event
    """Frames are counted over the recording."""
    clip_score: float
    words: str


def clip_reasons(
    detector: Detector, judged: Judgement, scores: FrameScores, machine: str, first_frames: Sequence[int]
) -> Iterator[ClipReason]:
    """Of every event of these clips."""
    statistic = detector.statistic
    if not isinstance(statistic, InnovationsStatistic):
        return
    for clip, first in enumerate(first_frames):
        for event in events(judged.thresholds[clip], statistic.config.threshold_sigmas):
            reasons = reasons_of(
                statistic,
                scores.of(INNOVATIONS)[clip],
                event,
                machine,
                channel=judged.channel_of(clip, event),
                front_end=detector.front_end.config,
            )
            yield ClipReason(
                event=Event(first_frame=first + event.first_frame, end_frame=first + event.end_frame),
                clip_score=float(judged.clip_scores[clip]),
                words=", and ".join(reason.words for reason in reasons),
            )


def reason_of(event: Event, reasons: Sequence[ClipReason]) -> str:
    """That of the strangest clip that the event reaches into."""
    within = [
        reason
        for reason in reasons
        if reason.event.first_frame < event.end_frame and event.first_frame < reason.event.end_frame
    ]
    return max(within, key=lambda reason: reason.clip_score).words if within else ""
