"""Machine, label and split of a recording from its path, in the layouts of public data sets and of folders by hand.

fan/train/normal_id_01_00000000.wav                              DCASE 2020
fan/train/section_00_source_train_normal_0000_<attributes>.wav   DCASE 2021 and later
6_dB_fan/fan/id_00/normal/00000000.wav                           MIMII
fan/normal/anything.wav                                          sorted by hand; for other words see labels.py

Folders and file name have equal rank and must not contradict each other. A machine's name is the folder of its kind
with the unit from the file name or a folder (`fan-id_01`, `fan-section_00`), so fan id_00 and pump id_00 are two
machines.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Literal

from core.data.recordings import Label
from core.errors import UserError
from core.sources.folders.labels import label_of_word

NamedSplit = Literal["train", "validation", "held_out"]
SPLITS: Mapping[str, NamedSplit] = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "test": "held_out",
    "source_test": "held_out",
    "target_test": "held_out",
}
"""Names of folders, and words in file names, that state the data set's own split. Its test part is divided into
validation and test, unless it has a validation part."""
SUPPLEMENTAL = "supplemental"
"""DCASE 2025's folder of clean machine sound and of pure noise, neither of which sounds like the machine on site."""

_ANY_CASE = re.IGNORECASE
_UNIT_FOLDER = re.compile(r"id_\d+", _ANY_CASE)
_DCASE = (
    re.compile(r"(?:(?P<label>normal|anomaly)_)?(?P<unit>id_\d+)_\d+", _ANY_CASE),
    re.compile(
        r"(?P<unit>section_\d+)(?:_(?P<domain>source|target))?(?:_(?P<split>train|test))?"
        r"(?:_(?P<label>normal|anomaly))?_\d+(?:_.*)?",
        _ANY_CASE,
    ),
    re.compile(rf"(?P<unit>section_\d+)_(?:.*_)?{SUPPLEMENTAL}(?:_.*)?", _ANY_CASE),
)
_CHANNEL = re.compile(r"(?P<before>|.*[_-])(?P<mark>ch_?)(?P<channel>\d+)(?P<after>|[_.-].*)", _ANY_CASE)
_NOISE_LEVEL = re.compile(r"(?P<level>-?\d+)_dB_.+", _ANY_CASE)


@dataclass(frozen=True, kw_only=True)
class NamedFile:
    """What a file's path states."""

    machine: str
    label: Label
    """"unknown" for DCASE names without a label, as in evaluation sets, and for supplemental files."""
    condition: str
    """"normal" for normal files. Names do not state the fault, so an anomalous file has its domain ("target domain"),
    or an empty string."""
    split: NamedSplit | None


@dataclass(frozen=True, kw_only=True)
class ChannelName:
    """A file name that contains the number of a microphone."""

    take: str
    """The name with the number replaced, so that it is equal for all microphones of a take."""
    stem: str
    """The name without the microphone."""
    channel: int


def is_named_normal(folder: str) -> bool:
    """Whether a folder's name says that all in it is normal: the whole name does, or its word `normal` or `healthy`."""
    words = re.split(r"[\s._-]+", folder.casefold())
    if label_of_word(folder):
        return label_of_word(folder) == "normal"
    return not {"normal", "healthy"}.isdisjoint(words) and "anomalous" not in map(label_of_word, words)


@lru_cache(maxsize=2**16)  # a listing asks twice
def parse_path(path: str, *, corpus_name: str, unlabelled_are_normal: bool = False) -> NamedFile | None:
    """`path` is relative to the corpus's folder, POSIX style. None if no folder is a label and no DCASE name matches.

    With `unlabelled_are_normal` such a file is normal. Raises UserError, naming the file, where folders and file name
    contradict each other.
    """
    *folders, file_name = PurePosixPath(path).parts
    stem = PurePosixPath(file_name).stem
    channel = split_channel(stem)
    parts = _dcase_parts(channel.stem if channel else stem)
    labels = [folder for folder in folders if label_of_word(folder)]
    if not parts and not labels:
        if not unlabelled_are_normal:
            return None
        folders.append("normal")
        labels = ["normal"]
    label = _label(path, labels, parts, folders)
    domain = parts.get("domain", "").lower()
    return NamedFile(
        machine=_machine(folders, parts.get("unit", ""), corpus_name),
        label=label,
        condition="normal" if label == "normal" else f"{domain} domain" if domain and label == "anomalous" else "",
        split=_split(path, folders, parts.get("split", "")),
    )


def split_channel(stem: str) -> ChannelName | None:
    """The microphone in names such as `take_7_ch2`, `take-ch_2`, `ch2_take` and `ch2`; None for other names."""
    match = _CHANNEL.fullmatch(stem)
    if match is None:
        return None
    before, mark, channel, after = match.group("before", "mark", "channel", "after")
    return ChannelName(
        take=f"{before}{mark}*{after}", stem=(before.rstrip("_-") + after).lstrip("_-"), channel=int(channel)
    )


def noise_level_db(path: str) -> int | None:
    """The signal-to-noise ratio in the name of a MIMII folder; None for other paths.

    MIMII has the same takes at three ratios.
    """
    matches = (_NOISE_LEVEL.fullmatch(folder) for folder in PurePosixPath(path).parts[:-1])
    return next((int(match["level"]) for match in matches if match), None)


def _dcase_parts(stem: str) -> dict[str, str]:
    """The parts of a DCASE name; empty for other names."""
    match = next((match for pattern in _DCASE if (match := pattern.fullmatch(stem))), None)
    return {key: text for key, text in match.groupdict().items() if text} if match else {}


def _label(path: str, labels: Sequence[str], parts: Mapping[str, str], folders: Sequence[str]) -> Label:
    if SUPPLEMENTAL in (folder.lower() for folder in folders):
        return "unknown"
    in_name = parts.get("label", "")
    found = {label for word in (*labels, in_name) if (label := label_of_word(word))}
    if len(found) > 1:
        words = [*labels, *([f"{in_name} in its name"] if in_name else [])]
        raise UserError(
            f"File {path!r} must have one label, but got {' and '.join(words)}. "
            "Find out which is right, and move or rename it."
        )
    return found.pop() if found else "unknown"


def _split(path: str, folders: Sequence[str], in_name: str) -> NamedSplit | None:
    """From the innermost folder that states a split, or from the file name."""
    in_folder = next((folder for folder in reversed(folders) if folder.lower() in SPLITS), "")
    if in_folder and in_name and SPLITS[in_folder.lower()] != SPLITS[in_name.lower()]:
        raise UserError(
            f"File {path!r} must be in one split, but got {in_folder} and {in_name} in its name. "
            "Find out which is right, and move or rename it."
        )
    word = (in_folder or in_name).lower()
    return SPLITS[word] if word else None


def _machine(folders: Sequence[str], unit: str, corpus_name: str) -> str:
    """The nearest folder above the label that is neither a split nor a unit, with the unit where there is one."""
    first_label = next((i for i, folder in enumerate(folders) if label_of_word(folder)), len(folders))
    above = list(reversed(folders[:first_label]))
    unit = unit or next((folder for folder in above if _UNIT_FOLDER.fullmatch(folder)), "")
    others = (folder for folder in above if not _UNIT_FOLDER.fullmatch(folder))
    kind = next((folder for folder in others if folder.lower() not in (*SPLITS, SUPPLEMENTAL)), corpus_name)
    return f"{kind}-{unit.lower()}" if unit else kind
