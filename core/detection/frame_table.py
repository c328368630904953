"""What is known of the frames of a recording, which is judged clip by clip."""

from dataclasses import dataclass

import numpy as np

from core.decision.levels import LevelsDbfs
from core.decision.postprocess import Event, Frames
from core.detection.clip_reasons import ClipReason
from core.model.scoring import Scores


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameTable:
    """Everything that is known of the F frames of a recording."""

    thresholds: Frames
    """(F,): the highest threshold at which the frame lies in a surviving event."""
    sigmas: Frames
    """(F,)"""
    channel_sigmas: Scores
    """(C, F) float32."""
    clip_scores: list[float]
    clip_levels: list[LevelsDbfs]
    """(C,) of each clip."""
    reasons: list[ClipReason]
    """Of the events of each clip. Empty for a score other than innovations."""

    @classmethod
    def empty(cls, num_channels: int, num_frames: int) -> "FrameTable":
        return cls(
            thresholds=np.full(num_frames, -np.inf),
            sigmas=np.full(num_frames, np.nan),
            channel_sigmas=np.full((num_channels, num_frames), np.nan, np.float32),
            clip_scores=[],
            clip_levels=[],
            reasons=[],
        )

    def put(self, first_frame: int, thresholds: Frames, sigmas: Frames, channel_sigmas: Frames) -> None:
        """Enters a clip's frames. A frame that another clip has entered stays where its threshold is higher."""
        self.clip_scores.append(float(thresholds.max()))
        place = slice(first_frame, first_frame + len(thresholds))
        wins = thresholds >= self.thresholds[place]
        self.thresholds[place][wins] = thresholds[wins]
        self.sigmas[place][wins] = sigmas[wins]
        self.channel_sigmas[:, place][:, wins] = channel_sigmas[:, wins]

    def strangest_channel(self, event: Event) -> int:
        """From 0: the one whose own sigmas are highest over the event."""
        return int(self.channel_sigmas[:, event.first_frame : event.end_frame].mean(axis=-1).argmax())
