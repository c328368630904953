"""A detector's decision about a recording, from the scores of its clips.

A recording is anomalous where at least K of its clips are. Its score is the K-th highest of its clips' scores, so it
is anomalous where its score reaches the threshold. A recording of one clip has the score that a study gives this clip.
"""

from dataclasses import dataclass

from core.command_line import counted
from core.decision.checkpoint import Detector
from core.decision.levels import LevelWarning
from core.decision.postprocess import Frames
from core.decision.whole_recordings import clips_needed, score_of_recording


@dataclass(frozen=True, kw_only=True)
class RecordingEvent:
    """A stretch of a recording that is flagged."""

    start_s: float
    end_s: float
    microphone: int
    """From 1: the one whose own score is highest over the event."""
    reason: str = ""
    """What makes it strange to that microphone, in words; empty for a score other than innovations."""

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordingDecision:
    """The detector's decision about one recording. F frames over the whole recording."""

    name: str
    seconds: float
    num_channels: int
    threshold_sigmas: float
    clip_scores: tuple[float, ...]
    """In sigmas, in order of time: the highest threshold at which an event survives in the clip, -inf for none."""
    min_anomalous_clips: int
    """So many clips must be anomalous for the recording to be. At most the number of clips."""
    healthy_scores: tuple[float, ...]
    """In sigmas, of the healthy recordings whose scores the detector's file holds; empty where it holds none."""
    events: tuple[RecordingEvent, ...]
    """In order of time. A recording with fewer anomalous clips than it takes has events, too."""
    level_warnings: tuple[LevelWarning, ...]
    """Channels that are far quieter or louder than the calibration clips; empty where the detector has no levels."""
    sigmas: Frames
    """(F,): the standardised score of each frame, microphones fused."""
    first_frame_s: float
    """When the first frame begins."""
    frame_s: float

    @property
    def score_sigmas(self) -> float:
        """The highest threshold at which the recording is anomalous; -inf where none is low enough."""
        return score_of_recording(self.clip_scores, self.min_anomalous_clips)

    @property
    def num_anomalous_clips(self) -> int:
        return sum(score >= self.threshold_sigmas for score in self.clip_scores)

    @property
    def is_anomalous(self) -> bool:
        return self.num_anomalous_clips >= self.min_anomalous_clips

    @property
    def healthy_words(self) -> str:
        """How strange an anomalous recording is beside the healthy ones; empty for a normal one, and without those."""
        if not self.is_anomalous or not self.healthy_scores:
            return ""
        num, num_below = len(self.healthy_scores), sum(score < self.score_sigmas for score in self.healthy_scores)
        which = f"{num_below} of" if num_below < num else "the" if num == 1 else "all"
        return f"stranger than {which} {counted(num, 'healthy recording')}"

    @property
    def level_words(self) -> str:
        """The warnings for people; empty where there are none."""
        return "; ".join(
            warning.describe(num_clips=len(self.clip_scores), num_channels=self.num_channels)
            for warning in self.level_warnings
        )


def healthy_scores_of(detector: Detector, asked: int | None) -> tuple[float, ...]:
    """Of each healthy recording that the detector's file holds: its score, where `asked` of its clips must be anomalous
    (None: as many as `clips_needed` says)."""
    takes = detector.healthy.takes if detector.healthy else ()
    needed = (min(asked or clips_needed(len(take), faults_last=detector.faults_last), len(take)) for take in takes)
    return tuple(map(score_of_recording, takes, needed))
