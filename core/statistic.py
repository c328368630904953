"""The one number that everything speaks of: a clip's score in sigmas, per machine, from scores to events.

Scores (N, C, F) in bits are fused over channels, smoothed, and standardised by mu and sigma of equally smoothed scores
of the same machine's calibration clips: never by the clip that is judged, since a take that is strange from end to end
must be caught. The threshold, AUC, F1 and the events all read this statistic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.postprocess import (
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
from core.scoring import Scores, fuse_channels


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the statistic says of N clips."""

    sigmas: Frames
    """(N, F): the standardised score of each frame, microphones fused."""
    channel_sigmas: Frames
    """(N, C, F): the same for each microphone alone; says which one gave an alarm, decides nothing."""
    thresholds: Frames
    """(N, F): the highest threshold at which the frame lies in a surviving event."""
    clip_scores: Frames
    """(N,): the highest threshold at which an event survives in the clip."""

    def channel_of(self, clip: int, event: Event) -> int:
        """The microphone, from 0, whose own score is highest over an event."""
        return int(self.channel_sigmas[clip, :, event.first_frame : event.end_frame].mean(axis=-1).argmax())


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """Post-processing with its calibration."""

    config: PostprocessingConfig
    frame_ms: float
    calibrations: Mapping[str, tuple[Calibration, ...]]
    """By machine: of the fused score, then of each channel's."""

    def judge(self, scores: Scores, machines: Sequence[str]) -> Judgement:
        """(N, C, F) scores of clips of these machines. UserError for a machine that was not calibrated."""
        smoothed = _smoothed(scores, self.config, self.frame_ms)
        sigmas = np.empty_like(smoothed)
        for machine, rows in _rows_by_machine(machines).items():
            for column, calibration in enumerate(self._calibrations_of(machine)):
                sigmas[rows, column] = standardise(smoothed[rows, column], calibration, two_sided=self.config.two_sided)
        thresholds = event_thresholds(sigmas[:, 0], self.config, frame_ms=self.frame_ms)
        return Judgement(
            sigmas=sigmas[:, 0],
            channel_sigmas=sigmas[:, 1:],
            thresholds=thresholds,
            clip_scores=clip_scores(thresholds),
        )

    def _calibrations_of(self, machine: str) -> tuple[Calibration, ...]:
        if machine not in self.calibrations:
            known = ", ".join(sorted(self.calibrations))
            raise UserError(f"a clip's machine must be one that was calibrated ({known}), but got {machine!r}.")
        return self.calibrations[machine]


def fit_statistic(
    config: PostprocessingConfig, scores: Scores, machines: Sequence[str], *, frame_ms: float
) -> Statistic:
    """Measures mu and sigma on calibration scores (N, C, F), machine by machine."""
    smoothed = _smoothed(scores, config, frame_ms)
    calibrations = {
        machine: tuple(calibrate(smoothed[rows, column]) for column in range(smoothed.shape[1]))
        for machine, rows in _rows_by_machine(machines).items()
    }
    return Statistic(config=config, frame_ms=frame_ms, calibrations=calibrations)


def _smoothed(scores: Scores, config: PostprocessingConfig, frame_ms: float) -> Frames:
    """(N, C, F) to (N, 1 + C, F): the fused score first, then each channel's, all smoothed alike."""
    columns = np.concatenate([fuse_channels(scores)[:, None], scores], axis=1)
    return smooth(columns, max(1, round(config.window_ms / frame_ms)))


def _rows_by_machine(machines: Sequence[str]) -> dict[str, npt.NDArray[np.intp]]:
    return {name: np.flatnonzero([machine == name for machine in machines]) for name in sorted(set(machines))}
