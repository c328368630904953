"""A clip's score in sigmas, which the threshold, AUC, F1 and the events are all computed from.

Scores (N, C, F) are smoothed, fused over channels, and standardised by mu and sigma. Those are measured on equally
smoothed and fused scores of the same machine's calibration clips. They are not measured on the clip that is judged,
because a fault that lasts for the whole take must be found. Where faults are known to come and go, `baseline` subtracts
the clip's own median first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from core.decision.postprocess import (
    Calibration,
    Event,
    Frames,
    PostprocessingConfig,
    calibrate,
    clip_scores,
    event_thresholds,
    smooth,
    standardise,
)
from core.errors import UserError
from core.model.scoring import Scores


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The scores of N clips in sigmas, frame by frame and clip by clip."""

    sigmas: Frames
    """(N, F): the standardised score of each frame, microphones fused."""
    channel_sigmas: Frames
    """(N, C, F): the same for each microphone alone. It tells which one raised an alarm and decides nothing."""
    thresholds: Frames
    """(N, F): the highest threshold at which the frame lies in a surviving event."""
    clip_scores: Frames
    """(N,): the highest threshold at which an event survives in the clip."""

    @classmethod
    def of_levels(cls, levels: Frames, config: PostprocessingConfig, *, frame_ms: float) -> "Judgement":
        """From (N, 1 + C, F) sigmas: of all microphones together, then of each."""
        thresholds = event_thresholds(levels[:, 0], config, frame_ms=frame_ms)
        return cls(
            sigmas=levels[:, 0],
            channel_sigmas=levels[:, 1:],
            thresholds=thresholds,
            clip_scores=clip_scores(thresholds),
        )

    def channel_of(self, clip: int, event: Event) -> int:
        """The microphone, from 0, with the highest own score over an event."""
        return int(self.channel_sigmas[clip, :, event.first_frame : event.end_frame].mean(axis=-1).argmax())


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """Post-processing with its calibration."""

    config: PostprocessingConfig
    frame_ms: float
    calibrations: Mapping[str, tuple[Calibration, ...]]
    """By machine: of the fused score, then of each channel."""

    @property
    def machines(self) -> tuple[str, ...]:
        return tuple(sorted(self.calibrations))

    def judge(self, scores: Scores, machines: Sequence[str]) -> Judgement:
        """Judges (N, C, F) scores of clips of these machines. UserError for a machine that was not calibrated."""
        smoothed = _smoothed(scores, self.config, self.frame_ms)
        num_clips, num_channels, num_frames = smoothed.shape
        sigmas = np.empty((num_clips, 1 + num_channels, num_frames))
        for machine, rows in rows_by_machine(machines).items():
            fused, *channels = self._calibrations_of(machine)
            fused_scores = fuse_channels(smoothed[rows], channels, self.config)
            # `maximum` fuses distances to either side, so the fused score has one side.
            has_two_sides = self.config.two_sided and self.config.fusion != "maximum"
            sigmas[rows, 0] = standardise(fused_scores, fused, two_sided=has_two_sides)
            sigmas[rows, 1:] = _standardised_channels(smoothed[rows], channels, self.config)
        return Judgement.of_levels(sigmas, self.config, frame_ms=self.frame_ms)

    def _calibrations_of(self, machine: str) -> tuple[Calibration, ...]:
        if machine not in self.calibrations:
            known = ", ".join(sorted(self.calibrations))
            raise UserError(f"a clip's machine must be one that was calibrated ({known}), but got {machine!r}.")
        return self.calibrations[machine]


def fit_scalar(config: PostprocessingConfig, scores: Scores, machines: Sequence[str], *, frame_ms: float) -> Statistic:
    """Measures mu and sigma on calibration scores (N, C, F), machine by machine."""
    smoothed = _smoothed(scores, config, frame_ms)
    by_machine = {machine: smoothed[rows] for machine, rows in rows_by_machine(machines).items()}
    channels = _calibrations(by_machine, config)
    fused = {name: fuse_channels(part, channels[name], config)[:, None] for name, part in by_machine.items()}
    of_fused = _calibrations(fused, config)
    calibrations = {name: (*of_fused[name], *channels[name]) for name in by_machine}
    return Statistic(config=config, frame_ms=frame_ms, calibrations=calibrations)


def fuse_channels(smoothed: Frames, channels: Sequence[Calibration], config: PostprocessingConfig) -> Frames:
    """(N, C, F) to (N, F) by `config.fusion`, with the calibrations of the C channels. In sigmas for `maximum`."""
    if config.fusion == "maximum":
        highest: Frames = _standardised_channels(smoothed, channels, config).max(axis=1)
        return highest
    weights = [calibration.sigma**-2 if config.fusion == "weighted" else 1.0 for calibration in channels]
    fused: Frames = np.average(smoothed, axis=1, weights=weights)
    return fused


def _standardised_channels(smoothed: Frames, channels: Sequence[Calibration], config: PostprocessingConfig) -> Frames:
    columns = [
        standardise(smoothed[:, channel], calibration, two_sided=config.two_sided)
        for channel, calibration in enumerate(channels)
    ]
    return np.stack(columns, axis=1)


def _calibrations(by_machine: Mapping[str, Frames], config: PostprocessingConfig) -> dict[str, tuple[Calibration, ...]]:
    """Calibrations of each of K columns of (N, K, F) by machine. A pooled sigma is the root of the mean variance."""
    own = {
        machine: [calibrate(columns[:, column]) for column in range(columns.shape[1])]
        for machine, columns in by_machine.items()
    }
    if config.sigma == "pooled":
        pooled = np.sqrt(np.mean([[each.sigma**2 for each in columns] for columns in own.values()], axis=0))
        own = {
            machine: [replace(each, sigma=float(sigma)) for each, sigma in zip(columns, pooled, strict=True)]
            for machine, columns in own.items()
        }
    return {machine: tuple(columns) for machine, columns in own.items()}


def _smoothed(scores: Scores, config: PostprocessingConfig, frame_ms: float) -> Frames:
    smoothed = smooth(scores, max(1, round(config.window_ms / frame_ms)))
    if config.baseline == "clip":
        smoothed -= np.median(smoothed, axis=-1, keepdims=True)
    return smoothed


def rows_by_machine(machines: Sequence[str]) -> dict[str, npt.NDArray[np.intp]]:
    """The rows of each machine's clips."""
    return {name: np.flatnonzero([machine == name for machine in machines]) for name in sorted(set(machines))}
