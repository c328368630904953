"""Splits recordings into train, calibration, validation and test. All channels and clips of a take stay together.

Train and calibration contain only normal takes; validation and test contain both labels, or only normal takes where
there is no anomalous one. The split depends on the recordings' ids and the seed (core/data/dealing.py). In a listed set
every part gets its share. In a stream each take is assigned independently of the others, so shares hold on average.

With folds, the normal takes of a machine are divided into groups. One group is for test, the next one for validation,
and the others for training and calibration. The folds of four, with four takes:

    fold 0   test  val  train train        fold 2   train train test  val
    fold 1   train test val   train        fold 3   val   train train test
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from core.data.dealing import Part, Parts, by_machine, deal_anomalous, empty_parts, share, shuffled, unit
from core.data.recordings import Recording
from core.data.split_checks import check_all_ask, check_labels, check_normal_if_train, check_part
from core.errors import UserError

MIN_NORMAL_TAKES = 4
"""Of each machine: one to train on, one to calibrate on, one for validation and one for test."""
MIN_FOLDS = 3
CALIBRATIONS = ("takes", "parts", "auto")


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Fractions of each machine's normal takes. Half of the anomalous takes go to validation and half to test."""

    validation_fraction: float = 0.25
    """Of the normal takes."""
    test_fraction: float = 0.25
    """Of the normal takes."""
    calibration_fraction: float = 0.25
    """Of the normal takes that remain for training. Mu and sigma are measured on these takes; no gradient uses them."""
    seed: int = 0
    """Decides which take is in which part."""
    calibration: Literal["takes", "parts", "auto"] = "takes"
    """Calibrates on whole takes that are set aside, or on the last part of every training take. Parts show how takes
    differ, which a single take cannot, but the network is trained on other parts of the same takes. "auto" is settled
    by the corpus (core/data/settling.py)."""
    folds: int = 0
    """The number of groups of normal takes, in the order of their ids, which replace the fractions; 0 for none."""
    fold: int = 0
    """The group for test, from 0. The next group is for validation."""

    def __post_init__(self) -> None:
        if self.calibration not in CALIBRATIONS:
            raise UserError(
                f"split.calibration must be one of {', '.join(CALIBRATIONS)}, but got {self.calibration!r}."
            )
        if self.folds != 0 and self.folds < MIN_FOLDS:
            raise UserError(
                f"split.folds must be at least {MIN_FOLDS} (training, validation, test), but got {self.folds}."
            )
        if not 0 <= self.fold < max(1, self.folds):
            raise UserError(f"split.fold must be 0 to split.folds - 1, but got {self.fold} of {self.folds}.")
        for name in ("validation_fraction", "test_fraction", "calibration_fraction"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(f"split.{name} must be above 0 and below 1, but got {getattr(self, name)}.")
        if self.validation_fraction + self.test_fraction >= 1:
            raise UserError(
                "split.validation_fraction and split.test_fraction must sum to less than 1, "
                f"but got {self.validation_fraction} and {self.test_fraction}. Leave some takes to train on."
            )


@dataclass(frozen=True, kw_only=True)
class Split:
    """The recordings of each part, in the order of their ids. Takes with label "unknown" are in no part.

    With `calibration = "parts"`, train and calibration contain the same takes.
    """

    train: tuple[Recording, ...]
    calibration: tuple[Recording, ...]
    validation: tuple[Recording, ...]
    test: tuple[Recording, ...]


def split_recordings(recordings: Iterable[Recording], config: SplitConfig, *, needs_anomalous: bool = True) -> Split:
    """The split that the recordings state (a manifest's column), else one by folds or by the seed.

    By the seed, every machine has at least one normal take in each part, and its anomalous takes alternate between
    validation and test, condition by condition. Raises UserError if there are too few recordings for that, and without
    an anomalous one if `needs_anomalous`.
    """
    everything = list(recordings)
    labelled = [recording for recording in everything if recording.label != "unknown"]
    check_labels(everything, needs_anomalous=needs_anomalous)
    if any(recording.split for recording in labelled):
        parts = _split_as_asked(labelled, config)
    elif config.folds:
        parts = _split_by_fold(labelled, config)
    else:
        parts = _split_by_seed(labelled, config)
    ordered = {part: tuple(sorted(takes, key=lambda take: take.recording_id)) for part, takes in parts.items()}
    return Split(**ordered)


def split_of(recording: Recording, config: SplitConfig) -> Part | None:
    """The part of a streamed take: a function of its own id and label, and the seed.

    A take whose split is `train` goes to train or calibration, one whose split is `held_out` to validation or test.
    None for label "unknown". Raises UserError for an anomalous take in `train`, and for a config that needs a list.
    """
    if config.folds or config.calibration == "parts":
        raise UserError(
            "split.folds and split.calibration = 'parts' must be left out where takes are streamed, but are set. "
            "Take a source that can be listed: a folder, or the ToyADMOS tree."
        )
    if recording.label == "unknown":
        return None
    check_normal_if_train(recording)
    if recording.split in ("validation", "test"):
        return recording.split
    evaluated = config.validation_fraction + config.test_fraction
    if recording.label == "anomalous":
        return "validation" if unit(config.seed, "half", recording.recording_id) < 0.5 else "test"
    part = unit(config.seed, "part", recording.recording_id) * (evaluated if recording.split == "held_out" else 1)
    if recording.split != "train" and part < evaluated:
        return "validation" if part < config.validation_fraction else "test"
    is_calibration = unit(config.seed, "calibration", recording.recording_id) < config.calibration_fraction
    return "calibration" if is_calibration else "train"


def _split_by_seed(recordings: Sequence[Recording], config: SplitConfig) -> Parts:
    parts = empty_parts()
    for machine, takes in sorted(by_machine(recordings).items()):
        normal = [take for take in takes if take.label == "normal"]
        if len(normal) < MIN_NORMAL_TAKES:
            raise UserError(
                f"Machine {machine!r} must have at least {MIN_NORMAL_TAKES} normal takes (train, calibration, "
                f"validation, test), but got {len(normal)}. Record more of it, or leave it out."
            )
        _deal_normal(normal, config, parts)
    _deal_anomalous(recordings, config, parts)
    return parts


def _split_by_fold(recordings: Sequence[Recording], config: SplitConfig) -> Parts:
    parts = empty_parts()
    for machine, takes in sorted(by_machine(recordings).items()):
        normal = sorted((take for take in takes if take.label == "normal"), key=lambda take: take.recording_id)
        if len(normal) < max(MIN_NORMAL_TAKES, config.folds):
            raise UserError(
                f"Machine {machine!r} must have at least {max(MIN_NORMAL_TAKES, config.folds)} normal takes for "
                f"{config.folds} folds, but got {len(normal)}. Ask for fewer folds, or leave it out."
            )
        groups = [normal[first :: config.folds] for first in range(config.folds)]
        groups = groups[config.fold :] + groups[: config.fold]
        parts["test"] += groups[0]
        parts["validation"] += groups[1]
        _deal_training(shuffled(chain.from_iterable(groups[2:]), config.seed), config, parts)
    _deal_anomalous(recordings, config, parts, turn=config.fold)
    return parts


def _deal_normal(takes: Sequence[Recording], config: SplitConfig, parts: Parts) -> None:
    """By the fractions, rounded, with at least one take for each part."""
    ordered = shuffled(takes, config.seed)
    num_validation = share(len(takes), config.validation_fraction, keep=3)
    num_test = share(len(takes), config.test_fraction, keep=num_validation + 2)
    parts["validation"] += ordered[:num_validation]
    parts["test"] += ordered[num_validation : num_validation + num_test]
    _deal_training(ordered[num_validation + num_test :], config, parts)


def _deal_training(takes: Sequence[Recording], config: SplitConfig, parts: Parts) -> None:
    """Shuffled takes to train and calibration; with `calibration = "parts"` all of them to both."""
    if config.calibration == "parts":
        parts["calibration"] += takes
        parts["train"] += takes
        return
    num_calibration = share(len(takes), config.calibration_fraction, keep=1)
    parts["calibration"] += takes[:num_calibration]
    parts["train"] += takes[num_calibration:]


def _split_as_asked(recordings: Sequence[Recording], config: SplitConfig) -> Parts:
    if config.folds:
        raise UserError(
            f"split.folds must be 0 where the recordings state their split, but got {config.folds}. "
            "Empty the column split, give other folders than train and test, or leave the folds out."
        )
    check_all_ask(recordings)
    parts = empty_parts()
    parts["validation"] = [take for take in recordings if take.split == "validation"]
    parts["test"] = [take for take in recordings if take.split == "test"]
    _deal_held_out([take for take in recordings if take.split == "held_out"], config, parts)
    for part in ("validation", "test"):
        check_part(parts[part], part, needs_anomalous=any(take.label == "anomalous" for take in recordings))
    for machine, takes in sorted(by_machine(recordings).items()):
        in_train = [take for take in takes if take.split == "train"]
        if len(in_train) < 2:
            raise UserError(
                f"Machine {machine!r} must have at least 2 normal takes in the split train (one to calibrate on), but "
                f"got {len(in_train)}. Move takes of it there, or leave the machine out."
            )
        _deal_training(shuffled(in_train, config.seed), config, parts)
    return parts


def _deal_held_out(takes: Sequence[Recording], config: SplitConfig, parts: Parts) -> None:
    """The normal takes of each machine in the ratio of the fractions; of two takes each part gets one."""
    of_validation = config.validation_fraction / (config.validation_fraction + config.test_fraction)
    for of_machine in by_machine(take for take in takes if take.label == "normal").values():
        ordered = shuffled(of_machine, config.seed)
        num_validation = share(len(ordered), of_validation, keep=1) if len(ordered) > 1 else 1
        parts["validation"] += ordered[:num_validation]
        parts["test"] += ordered[num_validation:]
    _deal_anomalous(takes, config, parts)


def _deal_anomalous(takes: Iterable[Recording], config: SplitConfig, parts: Parts, *, turn: int = 0) -> None:
    """Between validation and test, if there are any."""
    anomalous = [take for take in takes if take.label == "anomalous"]
    if anomalous:
        deal_anomalous(anomalous, parts, seed=config.seed, turn=turn)
