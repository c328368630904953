"""A clip's one number from the statistics of its innovations (core/model/frame_statistics.py), in sigmas.

    baseline = "machine"    how far each stretch of the clip is from its machine's normal sound (normal_sound.py)
    baseline = "clip"       how far each segment of the clip is from the rest of it (change_points.py)
    baseline = "both"       the higher of the segments' and the whole clip's, frame by frame

The stretches are equally long, about `window_ms`, and a clip that is not much longer is one stretch. Calibration clips
are cut alike. With "clip" and "both" the window is the smoothing before change points, and an event begins and ends
where the sound changes. A frame has the sigmas of its stretch or segment, and a clip the highest of its frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.decision.change_points import ChangeModel, fit_changes
from core.decision.clip_statistics import IN_BANDS
from core.decision.normal_sound import NormalSound, fit_normal_sound
from core.decision.postprocess import Frames, PostprocessingConfig, smooth
from core.decision.statistic import Judgement, rows_by_machine
from core.errors import UserError
from core.model.frame_statistics import FrameVectors, statistic_groups

NETWORK = ("likelihood", "colour", "colour changes", "colour changes by band", "whiteness", "impulses")
SOUND = ("spectrum", "spectrum changes", "spectrum changes by band", "modulation")
GROUPS = {
    "all": (*NETWORK, *SOUND, "level"),
    "relative": (*NETWORK, *SOUND),
    "network": NETWORK,
    "spectrum": ("likelihood", "spectrum"),
}
"""By `PostprocessingConfig.statistics`."""
CHANGING = {"all": IN_BANDS, "relative": IN_BANDS, "network": ("colour",), "spectrum": ("spectrum",)}
"""By `PostprocessingConfig.statistics`: the groups whose changes within a clip are sought."""


@dataclass(frozen=True, kw_only=True, eq=False)
class InnovationsStatistic:
    """Post-processing with the normal sound that clips are compared with."""

    config: PostprocessingConfig
    frame_ms: float
    normal: NormalSound
    changes: ChangeModel | None
    """None with the baseline "machine"."""
    num_stretches: int
    """Of a clip."""

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
            levels = np.maximum(levels, self._stretches(frames, machines))
        if self.changes and self.config.baseline != "machine":
            clips = changing(frames, self.config, self.frame_ms)
            levels = np.maximum(levels, np.stack([self.changes.sigmas(clip) for clip in clips]))
        return Judgement.of_levels(levels, self.config, frame_ms=self.frame_ms)

    def _stretches(self, frames: FrameVectors, machines: Sequence[str]) -> Frames:
        """(N, 1 + C, F): of all channels together, then of each."""
        firsts = first_frames(frames.shape[2], self.num_stretches)
        of_stretches = self._sigmas(cut(frames, self.num_stretches), np.repeat(machines, len(firsts)).tolist())
        by_clip = of_stretches.reshape(len(frames), len(firsts), -1).swapaxes(1, 2)
        return np.repeat(by_clip, np.diff([*firsts, frames.shape[2]]), axis=-1)

    def _sigmas(self, frames: FrameVectors, machines: Sequence[str]) -> Frames:
        """(N, 1 + C) of stretches (N, C, F, K): of all channels together, then of each."""
        vectors, sigmas = self.normal.vectors(frames), np.empty((len(frames), 1 + frames.shape[1]))
        for machine, rows in rows_by_machine(machines).items():
            deviations = self.normal.deviations({name: each[rows] for name, each in vectors.items()}, machine)
            sigmas[rows, 0] = self.normal.scores(deviations)
            for channel in range(frames.shape[1]):
                own = {name: each[:, channel : channel + 1] for name, each in deviations.items()}
                sigmas[rows, 1 + channel] = self.normal.scores(own)
        return sigmas


def stretches_in(num_frames: int, config: PostprocessingConfig, frame_ms: float) -> int:
    """Into how many stretches a clip is cut."""
    if config.baseline != "machine":
        return 1
    return min(num_frames, max(1, round(num_frames * frame_ms / config.window_ms)))


def first_frames(num_frames: int, num_stretches: int) -> list[int]:
    """Where the stretches of a clip begin: as many as it has frames at most."""
    num = min(num_stretches, num_frames)
    return [num_frames * index // num for index in range(num)]


def cut(frames: FrameVectors, num_stretches: int) -> FrameVectors:
    """(N, C, F, K) to equal stretches (N * S, C, F // S, K), those of a clip one after the other.

    Where F is no multiple of S, some stretches are followed by a frame that is in none.
    """
    firsts = first_frames(frames.shape[2], num_stretches)
    length = frames.shape[2] // len(firsts)
    stretches = np.stack([frames[:, :, first : first + length] for first in firsts], axis=1)
    return stretches.reshape(-1, *stretches.shape[2:])


def changing(frames: FrameVectors, config: PostprocessingConfig, frame_ms: float) -> Frames:
    """(N, C, F, K) to the smoothed statistics whose changes are sought, (N, C, F, E)."""
    groups = statistic_groups(frames.shape[1])
    values = np.concatenate([frames[..., groups[name]] for name in CHANGING[config.statistics]], axis=-1)
    window_frames = max(1, round(config.window_ms / frame_ms))
    smoothed: Frames = np.moveaxis(smooth(np.moveaxis(values.astype(np.float64), 2, -1), window_frames), -1, 2)
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
    num_stretches = stretches_in(frames.shape[2], config, frame_ms)
    stretches = cut(frames, num_stretches)
    of_stretches = ([name for name in names for _ in range(num_stretches)] for names in (machines, takes))
    return InnovationsStatistic(
        config=config,
        frame_ms=frame_ms,
        num_stretches=num_stretches,
        normal=fit_normal_sound(stretches, *of_stretches, groups=GROUPS[config.statistics], frame_ms=frame_ms),
        changes=None if config.baseline == "machine" else _fit_changes(config, frames, takes, frame_ms=frame_ms),
    )


def _fit_changes(
    config: PostprocessingConfig, frames: FrameVectors, takes: Sequence[str], *, frame_ms: float
) -> ChangeModel:
    sizes = group_sizes(frames.shape[1])
    return fit_changes(
        changing(frames, config, frame_ms),
        [sizes[name] for name in CHANGING[config.statistics]],
        num_takes=len(set(takes)),
        frame_ms=frame_ms,
    )


def group_sizes(num_channels: int) -> dict[str, int]:
    """How many statistics of a frame each group has."""
    return {name: place.stop - place.start for name, place in statistic_groups(num_channels).items()}
