"""The file of a trained detector: weights, configurations, gains and calibration (safetensors with a JSON header)."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from core.decision.postprocess import Calibration, PostprocessingConfig
from core.decision.statistic import Statistic
from core.errors import UserError
from core.model.frontend import FrontEnd, FrontEndConfig
from core.model.scoring import ScoringConfig
from core.model.tensor_file import read_tensors, write_tensors
from core.model.wavenet import WaveNet, WaveNetConfig

FORMAT = "wavenet-detector-3"


@dataclass(frozen=True, kw_only=True)
class Detector:
    """Everything that is needed to judge a new clip."""

    model: WaveNet
    front_end: FrontEnd
    scoring: ScoringConfig
    statistic: Statistic
    clip_samples: int
    """Length of a clip: what levels, smoothing and calibration were measured on, and so what is judged as a whole."""
    context_samples: int
    """Samples of a clip that are heard but not scored."""


def save_detector(path: Path, detector: Detector) -> None:
    """Weights, configurations, gains and calibration in one file."""
    header = {
        "format": FORMAT,
        "network": asdict(detector.model.config),
        "front_end": asdict(detector.front_end.config),
        "channel_gains": detector.front_end.channel_gains,
        "scoring": asdict(detector.scoring),
        "postprocessing": asdict(detector.statistic.config),
        "frame_ms": detector.statistic.frame_ms,
        "calibrations": {
            machine: [asdict(calibration) for calibration in columns]
            for machine, columns in detector.statistic.calibrations.items()
        },
        "clip_samples": detector.clip_samples,
        "context_samples": detector.context_samples,
    }
    write_tensors(path, detector.model.state_dict(), header)


def load_detector(path: Path, device: torch.device | str = "cpu") -> Detector:
    """The detector as it was saved. UserError for a file of another kind or version."""
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise UserError(
            f"{path} must be a detector of format {FORMAT}, but is {header.get('format')!r}. "
            "One of an older format must be trained again."
        )
    model = WaveNet(WaveNetConfig(**header["network"]))
    model.load_state_dict(tensors)
    return Detector(
        model=model.to(device).eval(),
        front_end=FrontEnd(config=FrontEndConfig(**header["front_end"]), channel_gains=tuple(header["channel_gains"])),
        scoring=ScoringConfig(**header["scoring"]),
        statistic=Statistic(
            config=PostprocessingConfig(**header["postprocessing"]),
            frame_ms=header["frame_ms"],
            calibrations={
                machine: tuple(Calibration(**column) for column in columns)
                for machine, columns in header["calibrations"].items()
            },
        ),
        clip_samples=header["clip_samples"],
        context_samples=header["context_samples"],
    )
