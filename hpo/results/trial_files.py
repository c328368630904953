"""The files of ended trials, the detector and its frame scores: missing or damaged ones are made again.

    the trial's training, read or trained again -> its epochs, judged as in the trial -> the files of its best epoch

A file is missing where another machine ran the trial and does not share `runs/`, or where a person deleted it. On the
machine that ran the trial, and with the same number of threads, the files are the same to the bit. On another one the
validation AUC may differ in its last digits, which is said.
"""

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from optuna.trial import FrozenTrial

from core.damaged_file import put_aside, say_missing
from core.decision.checkpoint import DETECTOR_FILE, load_detector
from core.decision.score_file import load_scores
from core.errors import UserError
from core.experiment import SCORES_FILE, EpochResult, run_experiment
from core.model.training import ConfigurationFailed
from core.model.training_record import TrainingRecord
from core.thread_pool import ThreadPool
from hpo.results.kept_trainings import training_key
from hpo.search.data_by_rate import Datasets
from hpo.search.study import OpenStudy
from hpo.search.trial_record import TrialRecord
from hpo.tracking.run_log import EVENTS_FILE_NAME, RunLog

READERS: dict[str, Callable[[Path], object]] = {DETECTOR_FILE: load_detector, SCORES_FILE: load_scores}
LOCK_FILE, SCRATCH_DIRECTORY = ".again.lock", ".again"
"""In a trial's folder: held by the process that makes the files again, and the folder in which it makes them."""


@dataclass(frozen=True, kw_only=True)
class TrialFiles:
    """What making a trial's files again takes."""

    datasets: Datasets
    device: torch.device
    pool: ThreadPool

    def ensure(self, search: OpenStudy, number: int) -> None:
        """Makes the files of a trial with at least one epoch again, unless both can be read. Says so in one line a
        file. A damaged file is put aside before. UserError where this machine cannot train the trial."""
        directory = search.trial_directory(number)
        if not _unreadable(directory):
            return
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / LOCK_FILE):  # another process may make them meanwhile
            bad = _unreadable(directory)
            if bad:
                trial = search.study.get_trials(deepcopy=False)[number]
                self._say_bad(bad, search, trial)
                self._make_again(directory, search, trial)

    def _say_bad(self, bad: list[Path], search: OpenStudy, trial: FrozenTrial) -> None:
        key = training_key(search, trial, self.datasets)
        assert key is not None, "a trial with an epoch has its parameters"
        best_epoch = best_epoch_of(TrialRecord.of(trial))
        is_kept = TrainingRecord(search.trainings_directory / key).num_epochs >= best_epoch
        how = "is made again from its training" if is_kept else f"is made again; {best_epoch} epochs are trained for it"
        for path in bad:
            if path.exists():
                put_aside(path, what_follows=how)
            else:
                say_missing(path, what_follows=how)

    def _make_again(self, directory: Path, search: OpenStudy, trial: FrozenTrial) -> None:
        """Both files, because one alone may be of another machine's arithmetic. They are made in a folder of their own:
        a process that is killed half-way must not leave the files of an earlier epoch in the trial's folder."""
        scratch = directory / SCRATCH_DIRECTORY
        shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
        try:
            _say_difference(self._follow(scratch, search, trial), search, trial)
            for name in READERS:
                os.replace(scratch / name, directory / name)
        except ConfigurationFailed as error:
            raise UserError(
                f"{directory} must hold the trial's files, which are missing or damaged, but they cannot be made again "
                f"here: {error}. Run the command on the machine that ran the trial."
            ) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        for name in READERS:
            RunLog(directory / EVENTS_FILE_NAME).artifact(directory / name)

    def _follow(self, directory: Path, search: OpenStudy, trial: FrozenTrial) -> EpochResult:
        """Repeats the trial up to its best epoch, whose files it leaves in the directory."""
        config = search.configuration_of(trial)  # type: ignore[arg-type]
        rate, best_epoch = config.front_end.sample_rate_hz, best_epoch_of(TrialRecord.of(trial))
        epochs = run_experiment(
            config,
            self.datasets.at(config.front_end.read_rate_hz),
            directory,
            seed=search.training_seed_of(trial),
            context_samples=search.space.context_samples(rate),
            device=self.device,
            pool=self.pool,
            trainings=search.trainings_directory,
        )
        with closing(epochs):
            return next(result for result in epochs if result.epoch == best_epoch)


def best_epoch_of(record: TrialRecord) -> int:
    """The epoch whose files a trial has. A trial that failed after an epoch has recorded its epochs alone."""
    best = max(record.epochs, key=lambda row: (row["val_auc"], row["epoch"]))
    return int(record.facts.get("best_epoch", best["epoch"]))


def _unreadable(directory: Path) -> list[Path]:
    """The files of a trial that are missing or damaged."""
    bad = []
    for name, read in READERS.items():
        try:
            read(directory / name)
        except UserError:
            bad.append(directory / name)
    return bad


def _say_difference(result: EpochResult, search: OpenStudy, trial: FrozenTrial) -> None:
    """Says in one line where the epoch is not the trial's to the bit."""
    record = TrialRecord.of(trial)
    epoch = best_epoch_of(record)
    recorded = next(row["val_auc"] for row in record.epochs if row["epoch"] == epoch)
    if (result.best_epoch, result.metrics["val_auc"]) != (epoch, recorded):
        logging.getLogger(__name__).warning(
            f"warning: {search.run_name_of(trial)} made again has validation AUC {result.metrics['val_auc']} at epoch "
            f"{epoch}, where the trial had {recorded}: another machine, or another number of threads, rounds in "
            f"another way. Its files are those of epoch {result.best_epoch}."
        )
