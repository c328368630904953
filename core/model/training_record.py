"""The folder of one training: every epoch is saved, so that it can be judged again without training.

    state.safetensors       weights and moments after the last whole epoch, from which the training resumes
    epoch_0001.safetensors  the epoch's report, frame scores of all judged splits, front end and weights
    partial.safetensors     the steps of an epoch that was left before its end (core/model/partial_epoch.py)

The state is written after its epoch's file. Once a state counts an epoch, the epoch's file is complete and final.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from filelock import BaseFileLock, FileLock
from torch import Tensor

from core.damaged_file import put_aside
from core.data.judged_clips import JUDGED
from core.errors import UserError
from core.model.frontend import FrontEnd, FrontEndConfig
from core.model.scoring import FRAME_SCORES, FrameScores
from core.model.tensor_file import load_training_state, read_tensors, save_training_state, write_tensors
from core.model.training import EpochReport, Optimizer
from core.model.wavenet import WaveNet

STATE_FILE = "state.safetensors"
LOCK_FILE = ".lock"


@dataclass(frozen=True, kw_only=True)
class ScoredEpoch:
    """One epoch of a training, with everything that is needed to judge it."""

    report: EpochReport
    scores: Mapping[str, FrameScores]
    """By split of JUDGED, for every clip and channel."""
    memoryless_bits: Mapping[str, float]
    """By split of JUDGED: bits per sample of the best predictor without memory, on the scored samples."""
    front_end: FrontEnd
    weights: Mapping[str, Tensor]
    """The network's weights, by name."""


class TrainingRecord:
    """The folder of one training. A writer must hold its lock; a reader needs none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._state = directory / STATE_FILE

    @property
    def num_epochs(self) -> int:
        """Epochs that can be read, from 1 on; 0 where the training was dropped (core/model/training_cleanup.py), or its
        state is damaged: then it is trained again, to the same bits."""
        try:
            return int(read_tensors(self._state)[1]["epoch"])
        except UserError:
            put_aside(self._state)
            return 0

    def lock(self) -> BaseFileLock:
        """A lock for the one process that trains. It is freed when the process dies; waiting can be interrupted."""
        self.directory.mkdir(parents=True, exist_ok=True)
        return FileLock(self.directory / LOCK_FILE)

    def read(self, epoch: int) -> ScoredEpoch:
        tensors, header = read_tensors(self._file(epoch))
        scores = {
            name: FrameScores(**{kind: tensors[f"scores.{name}.{kind}"].numpy() for kind in FRAME_SCORES})
            for name in JUDGED
        }
        return ScoredEpoch(
            report=EpochReport(**header["report"]),
            scores=scores,
            memoryless_bits=header["memoryless_bits"],
            front_end=FrontEnd(
                config=FrontEndConfig(**header["front_end"]), channel_gains=tuple(header["channel_gains"])
            ),
            weights={
                name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")
            },
        )

    def read_from(self, epoch: int) -> Iterator[ScoredEpoch]:
        """The epochs that can be read, from `epoch` on. Ends early where the training is dropped while it is read, or
        an epoch is damaged: then there is no state any more, and the training is trained again."""
        while epoch <= self.num_epochs:
            try:
                scored = self.read(epoch)
            except UserError:
                if epoch <= self.num_epochs:
                    put_aside(self._file(epoch))
                    self._state.unlink(missing_ok=True)
                return
            yield scored
            epoch += 1

    def save(self, scored: ScoredEpoch, model: WaveNet, optimizer: Optimizer) -> None:
        """Saves the epoch that has just ended, and the state from which the next one starts."""
        tensors = {f"model.{name}": tensor for name, tensor in scored.weights.items()}
        for name, scores in scored.scores.items():
            tensors |= {f"scores.{name}.{kind}": torch.from_numpy(getattr(scores, kind)) for kind in FRAME_SCORES}
        header = {
            "report": asdict(scored.report),
            "memoryless_bits": dict(scored.memoryless_bits),
            "front_end": asdict(scored.front_end.config),
            "channel_gains": scored.front_end.channel_gains,
        }
        write_tensors(self._file(scored.report.epoch), tensors, header)
        save_training_state(self._state, model, optimizer, {"epoch": scored.report.epoch})

    def restore(self, model: WaveNet, optimizer: Optimizer) -> int:
        """Restores weights and moments of the last epoch and returns its number; 0 where there is none."""
        return int(load_training_state(self._state, model, optimizer)["epoch"]) if self._state.exists() else 0

    def _file(self, epoch: int) -> Path:
        return self.directory / f"epoch_{epoch:04d}.safetensors"
