"""Groups the files of a ToyADMOS tree into takes by their names. Opens no file.

ToyCar/case1/NormalSound_IND/1100010001_ToyCar_case1_normal_IND_ch1_0001.wav
ToyCar/case1/AnomalousSound_IND/1101010001_ToyCar_case1_ab01_IND_ch1_0001.wav
ToyCar/case1/NormalSound_CNT/...            a continuous recording, cut into files
ToyCar/EnvironmentalNoise_CNT/...           noise without a machine, for all cases
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.audio_suffixes import LIBSNDFILE_SUFFIXES
from core.data.recordings import Label, Skipped
from core.errors import UserError
from core.sources.toyadmos.names import ToyAdmosName, parse_name, parse_noise_name
from core.sources.walk import is_within, walk, why_unusable

MACHINE = "ToyCar"
NOISE_FOLDER = "EnvironmentalNoise_CNT"
NOISE = "noise"
EXPECTED = f"{MACHINE}/case1/NormalSound_IND/1100010001_{MACHINE}_case1_normal_IND_ch1_0001.wav"
"""For messages."""
LABEL_FOLDERS: dict[str, tuple[Label, str]] = {
    "NormalSound_IND": ("normal", "IND"),
    "AnomalousSound_IND": ("anomalous", "IND"),
    "NormalSound_CNT": ("normal", "CNT"),
}
"""The label and style of all files below a folder of that name."""


@dataclass(frozen=True, kw_only=True)
class ListedTake:
    """The files of one take, or of one recording of environmental noise."""

    take_id: str
    machine: str
    label: Label
    condition: str
    case: int
    """0 for noise."""
    style: str
    """`IND` or `CNT`; `noise` for noise."""
    files: dict[int, list[str]]
    """Names relative to the tree, by microphone, in the order of their paths. Copies give several names."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The contents of a `ToyCar` folder."""

    root: Path
    """Links resolved."""
    takes: tuple[ListedTake, ...]
    noises: tuple[ListedTake, ...]
    """Both sorted by id."""
    skipped: tuple[Skipped, ...]
    """Files that are neither takes nor noise."""


def find_tree(path: Path) -> Path:
    """The `ToyCar` folder, links resolved. `path` is that folder or its parent. Raises UserError if there is none."""
    folder = Path(os.path.realpath(path))
    inside = folder / MACHINE
    if inside.is_dir() and not is_within(inside, folder):
        raise UserError(
            f"Data folder must hold {MACHINE} itself, but got a link that leads out of {str(path)!r}. "
            "Give the folder that the link leads to."
        )
    if inside.is_dir():
        return Path(os.path.realpath(inside))
    if folder.is_dir() and (folder.name == MACHINE or any(folder.glob("case[0-9]*/"))):
        return folder
    found = "a folder without it" if folder.is_dir() else "a file" if folder.exists() else "nothing"
    raise UserError(
        f"Data folder must be {MACHINE} of ToyADMOS or hold it, with files such as {EXPECTED}, "
        f"but got {found} at {str(path)!r}. Correct the path. For any other folder use folder:{path}."
    )


def looks_like_tree(path: Path) -> bool:
    """Whether a folder is ToyCar of ToyADMOS or holds it, by the names of its folders."""
    patterns = [f"{inside}case[0-9]*/{folder}" for inside in ("", f"{MACHINE}/") for folder in LABEL_FOLDERS]
    return path.is_dir() and any(any(path.glob(pattern)) for pattern in patterns)


def list_tree(root: Path) -> Tree:
    """All takes and noises. Skips other files. Raises UserError for a file whose name contradicts its folder."""
    takes: dict[str, ListedTake] = {}
    noises: dict[str, ListedTake] = {}
    skipped: list[Skipped] = []
    listed: dict[str, str] = {}
    # Links last, so that of a file and a link to it the file is used.
    for file in sorted(walk(root, root), key=os.path.islink):
        name = file.relative_to(root).as_posix()
        take, microphone, reason = _take_of(file, name, root)
        twin = "" if reason else listed.setdefault(os.path.realpath(file), name)
        if take is None or twin != name:
            skipped.append(Skipped(name=name, reason=reason or f"{name!r} is a link to {twin!r}, which is listed"))
            continue
        group = noises if take.style == NOISE else takes
        group.setdefault(take.take_id, take).files.setdefault(microphone, []).append(name)
    return Tree(root=root, takes=_by_id(takes.values()), noises=_by_id(noises.values()), skipped=tuple(skipped))


def _by_id(takes: Iterable[ListedTake]) -> tuple[ListedTake, ...]:
    return tuple(sorted(takes, key=lambda take: take.take_id))


def _take_of(file: Path, name: str, root: Path) -> tuple[ListedTake | None, int, str]:
    """A file's take, without its files, and its microphone; or None, 0 and why the file is skipped."""
    if reason := why_unusable(file, name, root, suffixes=LIBSNDFILE_SUFFIXES):
        return None, 0, reason
    if NOISE_FOLDER in PurePosixPath(name).parts[:-1]:
        noise = parse_noise_name(file.stem)
        if noise is None:
            return None, 0, f"{name!r} has no microphone in its name, such as _ch1_"
        return _noise(noise[0]), noise[1], ""
    parsed = parse_name(file.stem)
    if parsed is None:
        return None, 0, f"{name!r} is no ToyADMOS name"
    _check_folders(name, parsed)
    return _take(parsed), parsed.channel, ""


def _noise(noise_id: str) -> ListedTake:
    return ListedTake(take_id=noise_id, machine=NOISE, label="unknown", condition=NOISE, case=0, style=NOISE, files={})


def _take(name: ToyAdmosName) -> ListedTake:
    return ListedTake(
        take_id=name.take_id,
        machine=name.car,
        label=name.label,
        condition=name.meaning,
        case=name.case,
        style=name.style,
        files={},
    )


def _check_folders(name: str, parsed: ToyAdmosName) -> None:
    """Raises UserError if the name contradicts its folder, because then the label may be wrong."""
    if parsed.machine != MACHINE:
        raise _contradiction(name, parsed.machine, MACHINE)
    for folder in PurePosixPath(name).parts[:-1]:
        case = re.fullmatch(r"case([0-9]+)", folder)
        if case and int(case[1]) != parsed.case:
            raise _contradiction(name, f"case{parsed.case}", folder)
        if folder in LABEL_FOLDERS and LABEL_FOLDERS[folder] != (parsed.label, parsed.style):
            raise _contradiction(name, f"{parsed.condition}_{parsed.style}", folder)


def _contradiction(name: str, said: str, folder: str) -> UserError:
    return UserError(
        f"File {name!r} must lie in the folder that its name says, but got {said} in {folder}. "
        "Find out which is right, and move or rename it."
    )
