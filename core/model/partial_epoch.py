"""Saves an epoch that trains for long while it trains, so that an interruption costs a minute and not an epoch.

`partial.safetensors` in a training's folder holds weights and moments, the losses of the steps that are done, and the
state of the generator that draws the next batch. It is written by the process that holds the training's lock:

    every SECONDS_BETWEEN_SAVES                     between two batches
    before an epoch that took as long is scored
    when an exception ends the training             unless it was raised within a batch, which had changed some weights

An epoch that resumes from it equals one that was never interrupted, to the bit. The file is optional: a damaged one is
put aside, one that does not follow the last whole epoch is removed, and then the epoch starts again.
"""

import logging
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from core.damaged_file import put_aside
from core.errors import UserError
from core.full_disk import is_disk_full
from core.model.tensor_file import read_tensors, restore_training_state, save_training_state
from core.model.training import ConfigurationFailed, EpochProgress, Optimizer
from core.model.wavenet import WaveNet

PARTIAL_FILE = "partial.safetensors"
SECONDS_BETWEEN_SAVES = 60.0
LOSSES = "losses"


class PartialEpoch:
    """Keeps the file of the epoch that is being trained. When it is left by an exception, the epoch is saved."""

    def __init__(self, directory: Path, model: WaveNet, optimizer: Optimizer) -> None:
        self._path = directory / PARTIAL_FILE
        self._model, self._optimizer = model, optimizer
        self._progress: EpochProgress | None = None
        self._num_steps_saved = 0
        self._last_save = time.monotonic()

    def restore(self, epoch: int) -> EpochProgress | None:
        """The progress of this epoch, after weights and moments have been restored; None where the epoch starts."""
        try:
            tensors, header = read_tensors(self._path)
        except UserError:
            put_aside(self._path)  # does nothing where there is no file
            return None
        if header["epoch"] != epoch:
            self.remove()
            return None
        losses = tensors.pop(LOSSES).to(next(self._model.parameters()).device)
        restore_training_state(tensors, self._model, self._optimizer)
        self._progress = EpochProgress(losses=list(losses.unbind()), **header)
        self._num_steps_saved = len(losses)
        return self._progress

    def after_batch(self, progress: EpochProgress) -> None:
        """Saves the epoch where the last save is long ago."""
        self._progress = progress
        if time.monotonic() - self._last_save >= SECONDS_BETWEEN_SAVES:
            self._save()

    def before_scoring(self) -> None:
        """Saves an epoch that took long and that has steps which are not saved."""
        if self._progress is not None and self._progress.seconds >= SECONDS_BETWEEN_SAVES:
            self._save()

    def remove(self) -> None:
        """Removes the file: its epoch is saved as a whole, or it belongs to no epoch that can be trained now."""
        self._progress = None
        self._num_steps_saved = 0
        self._last_save = time.monotonic()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A configuration that failed would fail again, and a full disk would be full again.
        if error is not None and not isinstance(error, ConfigurationFailed) and not is_disk_full(error):
            self._save()

    def _save(self) -> None:
        progress = self._progress
        if progress is None or not progress.is_between_batches or len(progress.losses) == self._num_steps_saved:
            return
        try:
            save_training_state(
                self._path, self._model, self._optimizer, _header(progress), {LOSSES: torch.stack(progress.losses)}
            )
        except Exception as error:
            if not is_disk_full(error):
                raise
            line = f"warning: The disk of {self._path.parent} is full: epoch {progress.epoch} goes on without a copy."
            logging.getLogger(__name__).warning(line)
        self._num_steps_saved = len(progress.losses)
        self._last_save = time.monotonic()


def _header(progress: EpochProgress) -> dict[str, Any]:
    """What EpochProgress has beside its losses."""
    return {
        "epoch": progress.epoch,
        "random_state": progress.random_state,
        "num_targets": progress.num_targets,
        "seconds": progress.seconds,
    }
