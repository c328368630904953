"""The file of a trained detector: weights, and a JSON header with all that judging takes (safetensors).

The header holds configurations, gains, calibration, levels, and for a winner the scores of healthy clips.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.data.channels import Channels, microphones_of
from core.data.stand_ins import StandIn
from core.decision.detector_header import FORMAT, MAX_WEIGHTS, DetectorHeader, check_tensors, parse_header
from core.decision.fitting import AnyStatistic
from core.decision.healthy_scores import HealthyScores
from core.decision.innovations_file import header_of, statistic_from, tensors_of
from core.decision.levels import LevelRange
from core.decision.statistic import Statistic
from core.errors import UserError
from core.model.frontend import FrontEnd
from core.model.scoring import ScoringConfig
from core.model.tensor_file import MAX_HEADER_BYTES, open_tensors, write_tensors
from core.model.wavenet import WaveNet

MAX_BYTES = 4 * MAX_WEIGHTS + MAX_HEADER_BYTES
"""Of a detector's file: float32 weights and a header."""
DETECTOR_FILE = "checkpoint.safetensors"
PLACES = ("", "winner")
"""Subfolders of the given folder in which a detector's file is searched for, in this order."""


@dataclass(frozen=True, kw_only=True)
class Detector:
    """Everything that is needed to judge a new clip."""

    model: WaveNet
    front_end: FrontEnd
    scoring: ScoringConfig
    statistic: AnyStatistic
    clip_samples: int
    """Length of a clip at the rate at which recordings are read: levels, smoothing and calibration are those of clips
    of this length."""
    context_samples: int
    """Samples of the network at the beginning of a clip that are heard but not scored."""
    levels: Mapping[str, tuple[LevelRange, ...]] | None = None
    """Levels of the calibration clips by machine and channel. None for a file that lacks them."""
    healthy: HealthyScores | None = None
    """Scores of healthy clips that chose nothing, from which another threshold can be promised. Only a winner's file
    has them."""
    stand_ins: tuple[StandIn, ...] = ()
    """What stood in for recordings that the study did not have."""
    faults_last: bool = False
    """Whether a fault lasts for its whole recording, as where the study did not know the events of all faulty ones. It
    says how many clips make a recording anomalous (whole_recordings.py)."""
    channels: Channels | None = None
    """Those of a recording that are heard, where the study chose some. None for all."""

    @property
    def heard_clip_samples(self) -> int:
        """Length of a clip in samples of the network."""
        return self.clip_samples // self.front_end.config.decimation

    @property
    def microphones(self) -> tuple[int, ...]:
        """Their numbers in a recording, from 1, in the order of the network's channels."""
        return microphones_of(self.channels, self.model.config.num_channels)

    def with_threshold(self, threshold_sigmas: float) -> "Detector":
        config = replace(self.statistic.config, threshold_sigmas=threshold_sigmas)
        return replace(self, statistic=replace(self.statistic, config=config))


def find_detector(path: Path) -> Path:
    """The detector's file: `path` itself, or the one in a winner's folder or in a study's.

    UserError for a folder that has none, with the paths that were searched. Whether the file is a detector's is
    checked by `load_detector`.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(
            f"{path} must be a study's folder, a winner's folder or a detector's file, but {path.absolute()} does not "
            "exist. Name one of runs/ by its path from here."
        )
    candidates = [path / place / DETECTOR_FILE for place in PLACES]
    found = next((file for file in candidates if file.is_file()), None)
    if found is None:
        raise UserError(
            f"{path} must be a study's folder, a winner's folder or a detector's file, "
            f"but there is no {' and no '.join(map(str, candidates))}."
        )
    return found


def is_detector(path: Path) -> bool:
    """Whether it is a folder that `find_detector` finds a file in, or a file with a detector's suffix."""
    if path.is_dir():
        return any((path / place / DETECTOR_FILE).is_file() for place in PLACES)
    return path.is_file() and path.suffix == Path(DETECTOR_FILE).suffix


def save_detector(path: Path, detector: Detector) -> None:
    """Writes the detector's file, whole or not at all."""
    header: dict[str, Any] = {
        "format": FORMAT,
        "network": asdict(detector.model.config),
        "front_end": asdict(detector.front_end.config),
        "channel_gains": detector.front_end.channel_gains,
        "scoring": asdict(detector.scoring),
        "postprocessing": asdict(detector.statistic.config),
        "frame_ms": detector.statistic.frame_ms,
        "clip_samples": detector.clip_samples,
        "context_samples": detector.context_samples,
        "faults_last": detector.faults_last,
    }
    if detector.levels is not None:
        header["levels"] = _by_machine(detector.levels)
    if detector.channels is not None:
        header["channels"] = detector.channels
    if detector.stand_ins:
        header["stand_ins"] = detector.stand_ins
    if detector.healthy is not None:
        header["healthy"] = asdict(detector.healthy)
    tensors = detector.model.state_dict()
    if isinstance(detector.statistic, Statistic):
        header["calibrations"] = _by_machine(detector.statistic.calibrations)
    else:
        header["innovations"] = asdict(header_of(detector.statistic))
        tensors |= tensors_of(detector.statistic)
    write_tensors(path, tensors, header)


def _by_machine(columns: Mapping[str, tuple[Any, ...]]) -> dict[str, list[dict[str, float]]]:
    return {machine: [asdict(column) for column in each] for machine, each in columns.items()}


def load_detector(path: Path, device: torch.device | str = "cpu") -> Detector:
    """The detector as it was saved.

    Nothing that the file claims is allocated before the whole header is checked. UserError for a file of another kind
    or version, and for one whose header or weights cannot be a detector's.
    """
    with open_tensors(path, kind="a detector's file", max_bytes=MAX_BYTES) as file:
        try:
            header = parse_header(file.header)
            check_tensors(header, file.tensors)
        except UserError as error:
            raise UserError(f"{path} must be a detector's file, but {error}") from error
        weights = file.read()
    if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
        raise UserError(f"{path} must be a detector's file, but its weights are not finite.")
    try:
        statistic = _statistic(header, weights)
    except UserError as error:
        raise UserError(f"{path} must be a detector's file, but {error}") from error
    model = WaveNet(header.network)
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return Detector(
        model=model.to(device).eval(),
        front_end=FrontEnd(config=header.front_end, channel_gains=header.channel_gains),
        scoring=header.scoring,
        statistic=statistic,
        clip_samples=header.clip_samples,
        context_samples=header.context_samples,
        levels=header.levels,
        healthy=header.healthy,
        stand_ins=header.stand_ins,
        faults_last=header.faults_last,
        channels=header.channels,
    )


def _statistic(header: DetectorHeader, tensors: Mapping[str, Tensor]) -> AnyStatistic:
    if header.innovations is not None:
        return statistic_from(header.innovations, tensors, header.postprocessing, frame_ms=header.frame_ms)
    return Statistic(config=header.postprocessing, frame_ms=header.frame_ms, calibrations=header.calibrations)
