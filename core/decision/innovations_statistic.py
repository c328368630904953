"""A clip's one number from the statistics of its innovations (core/model/frame_statistics.py), in sigmas.

    baseline = "machine"    how far the whole clip is from its machine's normal sound (core/decision/normal_sound.py)
    baseline = "clip"       how far each segment of the clip is from the rest of it (core/decision/change_points.py)
    baseline = "both"       the higher of the two, frame by frame

So a fault that lasts for the whole take and one that lasts for a moment are found by the same detector, and an event
begins and ends where the sound changes. A frame has the sigmas of its segment, and a clip the highest of its frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.decision.change_points import ChangeModel, fit_changes
from core.decision.normal_sound import NormalSound, fit_normal_sound
from core.decision.postprocess import Frames, PostprocessingConfig, clip_scores, event_thresholds, smooth
from core.decision.statistic import Judgement, rows_by_machine
from core.errors import UserError
from core.model.frame_statistics import FrameVectors, statistic_groups

NETWORK = ("likelihood", "colour", "colour changes", "whiteness", "impulses")
SOUND = ("spectrum", "spectrum changes")
GROUPS = {
    "all": (*NETWORK, *SOUND, "level"),
    "relative": (*NETWORK, *SOUND),
    "network": NETWORK,
}
"""By `PostprocessingConfig.statistics`."""
CHANGING = ("likelihood", "colour")
"""The groups whose changes within a clip are sought."""


@dataclass(frozen=True, kw_only=True, eq=False)
class InnovationsStatistic:
    """Post-processing with the normal sound that clips are compared with."""

    config: PostprocessingConfig
    frame_ms: float
    normal: NormalSound
    changes: ChangeModel

    @property
    def machines(self) -> tuple[str, ...]:
        return tuple(sorted(self.normal.takes))

    def judge(self, frames: npt.NDArray[np.floating], machines: Sequence[str]) -> Judgement:
        """Judges (N, C, F, K) statistics of clips of these machines. UserError for a machine without normal sound."""
        for machine in sorted(set(machines) - set(self.machines)):
            known = ", ".join(self.machines)
            raise UserError(f"a clip's machine must be one that was calibrated ({known}), but got {machine!r}.")
        num_clips, num_channels, num_frames, _ = frames.shape
        levels = np.full((num_clips, 1 + num_channels, num_frames), -np.inf)
        if self.config.baseline != "clip":
            levels = np.maximum(levels, self._whole_clips(frames, machines)[..., None])
        if self.config.baseline != "machine":
            clips = changing(frames, self.config, self.frame_ms)
            levels = np.maximum(levels, np.stack([self._segments(clip) for clip in clips]))
        thresholds = event_thresholds(levels[:, 0], self.config, frame_ms=self.frame_ms)
        return Judgement(
            sigmas=levels[:, 0],
            channel_sigmas=levels[:, 1:],
            thresholds=thresholds,
            clip_scores=clip_scores(thresholds),
        )

    def _whole_clips(self, frames: FrameVectors, machines: Sequence[str]) -> Frames:
        """(N, 1 + C): of all channels together, then of each."""
        vectors, sigmas = self.normal.vectors(frames), np.empty((len(frames), 1 + frames.shape[1]))
        for machine, rows in rows_by_machine(machines).items():
            deviations = self.normal.deviations({name: each[rows] for name, each in vectors.items()}, machine)
            sigmas[rows, 0] = self.normal.scores(deviations)
            for channel in range(frames.shape[1]):
                own = {name: each[:, channel : channel + 1] for name, each in deviations.items()}
                sigmas[rows, 1 + channel] = self.normal.scores(own)
        return sigmas

    def _segments(self, vectors: npt.NDArray[np.float64]) -> Frames:
        """(C, F, E) of one clip to (1 + C, F)."""
        sigmas = np.empty((1 + len(vectors), vectors.shape[1]))
        for segment in self.changes.segments(vectors):
            evidence = [segment.evidence, *segment.channel_evidence]
            sigmas[:, segment.first : segment.end] = self.changes.standard.sigmas(np.array(evidence))[:, None]
        return sigmas


def changing(frames: FrameVectors, config: PostprocessingConfig, frame_ms: float) -> Frames:
    """(N, C, F, K) to the smoothed statistics whose changes are sought, (N, C, F, E)."""
    groups = statistic_groups(frames.shape[1])
    values = np.concatenate([frames[..., groups[name]] for name in CHANGING], axis=-1).astype(np.float64)
    window_frames = max(1, round(config.window_ms / frame_ms))
    smoothed: Frames = np.moveaxis(smooth(np.moveaxis(values, 2, -1), window_frames), -1, 2)
    return smoothed


def fit_innovations(
    config: PostprocessingConfig,
    frames: FrameVectors,
    machines: Sequence[str],
    takes: Sequence[str],
    *,
    frame_ms: float,
) -> InnovationsStatistic:
    """Fits calibration clips (N, C, F, K) of these machines and takes."""
    return InnovationsStatistic(
        config=config,
        frame_ms=frame_ms,
        normal=fit_normal_sound(frames, machines, takes, groups=GROUPS[config.statistics], frame_ms=frame_ms),
        changes=fit_changes(changing(frames, config, frame_ms), num_takes=len(set(takes)), frame_ms=frame_ms),
    )
