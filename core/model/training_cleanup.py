"""Drops trainings to free disk space. A dropped training is trained again, to the same bits, when it is asked for.

The state is removed first. A training without its state has no epochs that can be read (core/model/training_record.py),
so a removal that is killed half-way leaves a training that counts as absent, and the next removal deletes the rest.
"""

from pathlib import Path

from filelock import Timeout

from core.model.training_record import LOCK_FILE, STATE_FILE, TrainingRecord


def training_bytes(directory: Path) -> int:
    """Size of a training's files on disk, without its lock."""
    return sum(path.stat().st_size for path in _files(directory))


def drop_training(directory: Path) -> bool:
    """Deletes the training's state, then its epochs. Does nothing and returns False while a process trains it.

    The folder and its lock stay: a process may be waiting for that lock, and a new file of the same name would be
    another lock.
    """
    try:
        with TrainingRecord(directory).lock().acquire(blocking=False):
            (directory / STATE_FILE).unlink(missing_ok=True)
            for path in _files(directory):
                path.unlink(missing_ok=True)
    except Timeout:
        return False
    return True


def _files(directory: Path) -> list[Path]:
    """The state, the epochs, an epoch that was left before its end, and unfinished files of killed processes."""
    return sorted(path for path in directory.iterdir() if path.name != LOCK_FILE and path.is_file())
