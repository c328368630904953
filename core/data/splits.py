"""Train, calibration, validation and test, by recording: all channels and all clips of a take stay together.

Train and calibration hold normal takes alone; validation and test hold both labels. Who goes where depends on the
recordings' ids and the seed, by a hash, and not on the order in which they are listed. A set that is listed is dealt so
that every part gets its share; of one that is streamed each take is decided by itself, so the shares hold on average.

With folds, the normal takes of a machine are dealt into groups; one is the test's, the next validation's, and the
others are trained and calibrated on. Fold i of four, where there are four takes:

    fold 0   test  val  train train        fold 2   train train test  val
    fold 1   train test val   train        fold 3   val   train train test
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from core.data.recordings import Recording
from core.errors import UserError

Part = Literal["train", "calibration", "validation", "test"]
_Members = dict[str, list[Recording]]
"""The recordings of each part, while they are being dealt."""

MIN_NORMAL_TAKES = 4
"""Of each machine: one to train on, one to calibrate on, one for validation and one for test."""
MIN_FOLDS = 3
CALIBRATIONS = ("takes", "parts")


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Shares of each machine's normal takes. Anomalous takes are halved between validation and test."""

    validation_fraction: float = 0.25
    """Of the normal takes."""
    test_fraction: float = 0.25
    """Of the normal takes."""
    calibration_fraction: float = 0.25
    """Of the normal takes that are left for training: on these mu and sigma are measured, and no gradient."""
    seed: int = 0
    """Which takes go where."""
    calibration: Literal["takes", "parts"] = "takes"
    """Whether whole takes are set aside to calibrate on, or the last part of every training take. Parts know how takes
    differ, which one take cannot tell; but the network has heard the takes that they are of."""
    folds: int = 0
    """Groups that the normal takes are dealt into, in the order of their ids, in place of the fractions; 0: none."""
    fold: int = 0
    """Which group is the test's, from 0. The next one is validation's."""

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
    """Who is where. Each part is in the order of the recordings' ids; takes with label "unknown" are in none.

    Train and calibration are the same takes where a part of every take is calibrated on.
    """

    train: tuple[Recording, ...]
    calibration: tuple[Recording, ...]
    validation: tuple[Recording, ...]
    test: tuple[Recording, ...]


def split_recordings(recordings: Iterable[Recording], config: SplitConfig) -> Split:
    """The split that the recordings ask for where they do (a manifest's column), else one by the seed.

    By the seed, every machine has at least one normal take in each part, and its anomalous takes are dealt in turn to
    validation and test, condition by condition. Raises UserError where the recordings cannot carry that.
    """
    everything = list(recordings)
    labelled = [recording for recording in everything if recording.label != "unknown"]
    _check_both_labels(everything)
    if any(recording.split for recording in labelled):
        members = _split_as_asked(labelled, config)
    elif config.folds:
        members = _split_by_fold(labelled, config)
    else:
        members = _split_by_seed(labelled, config)
    ordered = {part: tuple(sorted(takes, key=lambda take: take.recording_id)) for part, takes in members.items()}
    return Split(**ordered)


def split_of(recording: Recording, config: SplitConfig) -> Part | None:
    """Where a take of a set that cannot be listed goes: a function of its own id and label, and the seed.

    A take that asks for `train` is trained or calibrated on, one that asks for `held_out` is for validation or test.
    None for label "unknown". Raises UserError for an anomalous take that asks for `train`, and for a split that needs
    the whole list.
    """
    if config.folds or config.calibration == "parts":
        raise UserError(
            "split.folds and split.calibration = 'parts' must be left out where takes are streamed, but are set. "
            "Take a source that can be listed: a folder, or the ToyADMOS tree."
        )
    if recording.label == "unknown":
        return None
    _check_normal_if_train(recording)
    if recording.split in ("validation", "test"):
        return recording.split
    evaluated = config.validation_fraction + config.test_fraction
    if recording.label == "anomalous":
        return "validation" if _unit(config.seed, "half", recording.recording_id) < 0.5 else "test"
    part = _unit(config.seed, "part", recording.recording_id) * (evaluated if recording.split == "held_out" else 1)
    if recording.split != "train" and part < evaluated:
        return "validation" if part < config.validation_fraction else "test"
    is_calibration = _unit(config.seed, "calibration", recording.recording_id) < config.calibration_fraction
    return "calibration" if is_calibration else "train"


def _split_by_seed(recordings: Sequence[Recording], config: SplitConfig) -> _Members:
    members = _no_members()
    for machine, takes in sorted(_by_machine(recordings).items()):
        normal = [take for take in takes if take.label == "normal"]
        if len(normal) < MIN_NORMAL_TAKES:
            raise UserError(
                f"Machine {machine!r} must have at least {MIN_NORMAL_TAKES} normal takes (train, calibration, "
                f"validation, test), but got {len(normal)}. Record more of it, or leave it out."
            )
        _deal_normal(normal, config, members)
    _deal_anomalous([take for take in recordings if take.label == "anomalous"], config.seed, members)
    return members


def _split_by_fold(recordings: Sequence[Recording], config: SplitConfig) -> _Members:
    members = _no_members()
    for machine, takes in sorted(_by_machine(recordings).items()):
        normal = sorted((take for take in takes if take.label == "normal"), key=lambda take: take.recording_id)
        if len(normal) < max(MIN_NORMAL_TAKES, config.folds):
            raise UserError(
                f"Machine {machine!r} must have at least {max(MIN_NORMAL_TAKES, config.folds)} normal takes for "
                f"{config.folds} folds, but got {len(normal)}. Ask for fewer folds, or leave it out."
            )
        groups = [normal[first :: config.folds] for first in range(config.folds)]
        groups = groups[config.fold :] + groups[: config.fold]
        members["test"] += groups[0]
        members["validation"] += groups[1]
        _deal_training(_shuffled(chain.from_iterable(groups[2:]), config.seed), config, members)
    _deal_anomalous([take for take in recordings if take.label == "anomalous"], config.seed, members, turn=config.fold)
    return members


def _deal_normal(takes: Sequence[Recording], config: SplitConfig, members: _Members) -> None:
    """The fractions, rounded, but at least one take to each part."""
    shuffled = _shuffled(takes, config.seed)
    num_validation = _share(len(takes), config.validation_fraction, keep=3)
    num_test = _share(len(takes), config.test_fraction, keep=num_validation + 2)
    members["validation"] += shuffled[:num_validation]
    members["test"] += shuffled[num_validation : num_validation + num_test]
    _deal_training(shuffled[num_validation + num_test :], config, members)


def _deal_training(shuffled: Sequence[Recording], config: SplitConfig, members: _Members) -> None:
    if config.calibration == "parts":
        members["calibration"] += shuffled
        members["train"] += shuffled
        return
    num_calibration = _share(len(shuffled), config.calibration_fraction, keep=1)
    members["calibration"] += shuffled[:num_calibration]
    members["train"] += shuffled[num_calibration:]


def _share(count: int, fraction: float, *, keep: int) -> int:
    """A share of `count`, at least one, that leaves `keep`."""
    return min(max(1, round(count * fraction)), count - keep)


def _deal_anomalous(takes: Sequence[Recording], seed: int, members: _Members, *, turn: int = 0) -> None:
    """In turn to validation and test, on odd turns to test and validation. The turn goes on from one condition and one
    machine to the next.

    So the totals differ by at most one, of each machine and over all, and of a condition with two takes or more each
    part has one. A machine's only anomalous take goes where its turn is, validation if it is the first.
    """
    if len(takes) < 2:
        raise UserError(
            f"Anomalous recordings must be at least 2, one for validation and one for test, but got {len(takes)}. "
            "Add a take of a faulty machine."
        )
    in_turn: list[Recording] = []
    for _, of_machine in sorted(_by_machine(takes).items()):
        conditions = {take.condition for take in of_machine}
        for condition in sorted(conditions, key=lambda name: _hash(seed, of_machine[0].machine, name)):
            in_turn += _shuffled([take for take in of_machine if take.condition == condition], seed)
    members["validation"] += in_turn[turn % 2 :: 2]
    members["test"] += in_turn[1 - turn % 2 :: 2]


def _split_as_asked(recordings: Sequence[Recording], config: SplitConfig) -> _Members:
    if config.folds:
        raise UserError(
            f"split.folds must be 0 where the recordings say in which split they are, but got {config.folds}. "
            "Empty the column, or leave the folds out."
        )
    _check_all_ask(recordings)
    members = _no_members()
    members["validation"] = [take for take in recordings if take.split == "validation"]
    members["test"] = [take for take in recordings if take.split == "test"]
    _deal_held_out([take for take in recordings if take.split == "held_out"], config, members)
    for part in ("validation", "test"):
        _check_part_has_both_labels(members[part], part)
    for machine, takes in sorted(_by_machine(recordings).items()):
        in_train = [take for take in takes if take.split == "train"]
        if len(in_train) < 2:
            raise UserError(
                f"Machine {machine!r} must have at least 2 normal takes in the split train (one to calibrate on), but "
                f"got {len(in_train)}. Move takes of it there, or leave the machine out."
            )
        _deal_training(_shuffled(in_train, config.seed), config, members)
    return members


def _deal_held_out(takes: Sequence[Recording], config: SplitConfig, members: _Members) -> None:
    """Normal ones machine by machine in the ratio of the fractions, at least one to each if there are two."""
    share = config.validation_fraction / (config.validation_fraction + config.test_fraction)
    for of_machine in _by_machine(take for take in takes if take.label == "normal").values():
        shuffled = _shuffled(of_machine, config.seed)
        num_validation = _share(len(shuffled), share, keep=1) if len(shuffled) > 1 else 1
        members["validation"] += shuffled[:num_validation]
        members["test"] += shuffled[num_validation:]
    anomalous = [take for take in takes if take.label == "anomalous"]
    if anomalous:
        _deal_anomalous(anomalous, config.seed, members)


def _check_both_labels(recordings: Sequence[Recording]) -> None:
    for label in ("normal", "anomalous"):
        if not any(recording.label == label for recording in recordings):
            raise UserError(
                f"The data must hold {label} recordings, but got none among {len(recordings)} recordings. "
                "Normal ones are learned from, and anomalous ones tell whether it worked: label some of each."
            )


def _check_all_ask(recordings: Sequence[Recording]) -> None:
    silent = [recording.recording_id for recording in recordings if recording.split is None]
    if silent:
        raise UserError(
            f"The column split must be filled for every recording or for none, but got nothing for {len(silent)} of "
            f"{len(recordings)}, {silent[0]!r} among them. Fill it, or empty it and let the seed decide."
        )
    for recording in recordings:
        _check_normal_if_train(recording)


def _check_normal_if_train(recording: Recording) -> None:
    if recording.split == "train" and recording.label == "anomalous":
        raise UserError(
            f"The split train must hold normal recordings alone, but got {recording.recording_id!r}, which is "
            "anomalous. Move it to validation or test."
        )


def _check_part_has_both_labels(takes: Sequence[Recording], part: str) -> None:
    counts = [sum(take.label == label for take in takes) for label in ("normal", "anomalous")]
    if 0 in counts:
        raise UserError(
            f"The split {part} must hold normal and anomalous recordings, but got {counts[0]} normal and {counts[1]} "
            "anomalous ones. Move some there, or empty the column and let the seed decide."
        )


def _no_members() -> _Members:
    return {"train": [], "calibration": [], "validation": [], "test": []}


def _by_machine(recordings: Iterable[Recording]) -> dict[str, list[Recording]]:
    machines: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        machines[recording.machine].append(recording)
    return machines


def _shuffled(recordings: Iterable[Recording], seed: int) -> list[Recording]:
    return sorted(recordings, key=lambda recording: _hash(seed, recording.recording_id))


def _unit(seed: int, *names: str) -> float:
    """A number from 0 to 1, 1 excluded, that looks drawn at random."""
    return int(_hash(seed, *names)[:13], 16) / 16**13


def _hash(seed: int, *names: str) -> str:
    return hashlib.sha256("\t".join([str(seed), *names]).encode()).hexdigest()
