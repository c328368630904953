"""The source `folder:PATH`: any folder of audio files, listed by its manifest or by the names of folders and files.

folder/manifest.csv                 is used where there is one: core/sources/folders/manifest.py
folder/normal/**.wav                one machine, named after the folder; other words for labels: labels.py
folder/fan/normal/**.wav            one machine for each folder above a `normal`
folder/fan/train/normal_id_01_00000000.wav, and other public data sets: file_names.py
folder/normal/7_ch1.wav, 7_ch2.wav  one take of two microphones
"""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from core.audio_suffixes import LIBSNDFILE_SUFFIXES, LOOKS_LIKE_AUDIO, READABLE_SUFFIXES
from core.data.channels import Channels, channels_of
from core.data.digests import Digest, digest_of
from core.data.real_paths import RealPaths
from core.data.recordings import BadRecording, Corpus, Recording, Skipped
from core.errors import UserError
from core.sources.audio_files import is_for_ffmpeg
from core.sources.folders.file_names import is_named_normal, noise_level_db, parse_path, split_channel
from core.sources.folders.labels import EXAMPLES
from core.sources.folders.manifest import read_manifest
from core.sources.folders.manifest_rows import mistyped_columns
from core.sources.options import read_options
from core.sources.take_files import TakeFiles, recording_of
from core.sources.toyadmos.tree import looks_like_tree
from core.sources.walk import walk, why_unusable

MANIFEST = "manifest.csv"
HIDDEN_BY_WINDOWS = frozenset({"thumbs.db", "desktop.ini"})
UNLABELLED = "is in no folder named after a label"
WORKBOOKS = ("manifest.xlsx", "manifest.xls", "manifest.ods")


@dataclass(frozen=True, kw_only=True)
class FolderConfig:
    """How the recordings of a folder are read."""

    channels: Literal["mix", "first"] | Sequence[int] | None = None
    """Those that are heard: `mix` makes every recording mono by the mean of its channels, `first` by its first channel,
    and a list has the numbers, from 1. None is all of them."""

    def __post_init__(self) -> None:
        channels_of(self.channels)


def open_folder(
    path: Path,
    options: Mapping[str, object],
    *,
    skip_bad_files: bool = False,
    digest_of: Digest = digest_of,
) -> Corpus:
    """Lists a folder, or the rows of a manifest at `path`. Reads headers and decodes no samples, except with ffmpeg.

    `options` are fields of FolderConfig. Raises UserError for a folder that is missing or holds nothing usable, and
    BadRecording for a file whose header cannot be read, unless `skip_bad_files`.
    """
    channels = channels_of(read_options(FolderConfig, options, source="folder").channels)
    manifest = _manifest_of(path)
    folder = Path(os.path.realpath(path.parent if path.is_file() else path))
    name = _corpus_name(folder, manifest)
    takes, unusable = (read_manifest(manifest), ()) if manifest else _list_by_name(folder, name)
    usable = takes if manifest else _with_usable_splits(takes)
    recordings, bad = _open_takes(usable, channels, skip_bad_files=skip_bad_files, digest_of=digest_of)
    skipped = (*unusable, *bad)
    if not recordings:
        raise _nothing_found(path, skipped)
    machines = len({recording.machine for recording in recordings})
    of_machines = f"{machines} {'machine' if machines == 1 else 'machines'}"
    description = f"{len(recordings)} recording{'s' * (len(recordings) != 1)} of {of_machines} in {name}"
    if any(take.split for take in takes) and not any(take.split for take in usable):
        description += "; the split that they are named after lacks healthy ones in a part, so the study makes its own"
    unlabelled = [each.name for each in skipped if UNLABELLED in each.reason]
    if unlabelled:
        description += f"; {len(unlabelled)} without a label left out, such as {unlabelled[0]!r}"
    if isinstance(channels, tuple):
        description += f", channel{'s' * (len(channels) > 1)} {', '.join(map(str, channels))} of each"
    for column, meant in (mistyped_columns(manifest) if manifest else {}).items():
        description += f"; the column {column!r} is ignored: did you mean {meant!r}?"
    return Corpus(name=name, description=description, recordings=recordings, skipped=skipped, channels=channels)


def _manifest_of(path: Path) -> Path | None:
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.name.lower() == MANIFEST and file.is_file())
        return found[-1] if found else None  # small letters come last
    if not path.exists():
        raise UserError(f"Data folder must exist, but got {str(path)!r}. Correct the path after folder:.")
    if path.suffix.lower() != ".csv":
        raise UserError(f"Data must be a folder or a manifest named *.csv, but got {str(path)!r}. Give the folder.")
    return path


def _corpus_name(folder: Path, manifest: Path | None) -> str:
    name = folder.name if manifest is None or manifest.name.lower() == MANIFEST else f"{folder.name}-{manifest.stem}"
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "folder"


def _open_takes(
    takes: Sequence[TakeFiles], channels: Channels | None, *, skip_bad_files: bool, digest_of: Digest
) -> tuple[tuple[Recording, ...], tuple[Skipped, ...]]:
    recordings, bad = [], []
    for take in takes:
        try:
            recordings.append(recording_of(take, digest_of=digest_of, channels=channels))
        except BadRecording as error:
            if not skip_bad_files:
                raise
            bad.append(Skipped.because_of(error, take.names[0]))
    return tuple(recordings), tuple(bad)


def _nothing_found(path: Path, skipped: Sequence[Skipped]) -> UserError:
    first, more = [entry.reason for entry in skipped[:3]], len(skipped) - 3
    left_out = f" (left out: {'; '.join(first)}{f'; and {more} more' if more > 0 else ''})" if skipped else ""
    repair = (
        f"Use toyadmos:{path}."
        if looks_like_tree(path)
        else "Sort the files into these folders; where all are normal, a folder normal is enough."
    )
    return UserError(
        f"Data folder must hold audio in folders named after labels ({EXAMPLES}), with names as in DCASE, "
        f"or a {MANIFEST}, but got nothing usable in {str(path)!r}{left_out}. {repair}"
    )


def _list_by_name(folder: Path, corpus_name: str) -> tuple[tuple[TakeFiles, ...], tuple[Skipped, ...]]:
    names, skipped = _usable_names(folder, corpus_name)
    is_normal = not names and is_named_normal(folder.name)
    if is_normal:
        names, skipped = _usable_names(folder, corpus_name, unlabelled_are_normal=True)
    groups, incomplete = _group_channels(names)
    takes = tuple(_take_of(folder, group, corpus_name, unlabelled_are_normal=is_normal) for group in groups)
    _check_one_noise_level(takes)
    return takes, (*skipped, *incomplete)


def _with_usable_splits(takes: tuple[TakeFiles, ...]) -> tuple[TakeFiles, ...]:
    """Without the splits that the names state where they hold out no healthy take or leave none to train on, as where
    only the training part of a data set is there.

    Beside a validation part the test part is all test, if both have takes of every label that is held out. Otherwise
    both are dealt to validation and test.
    """
    splits = {take.split for take in takes if take.label == "normal"}
    if splits <= {"train", None} or splits <= {"validation", "held_out"}:
        return tuple(replace(take, split=None) for take in takes)
    if not any(take.split == "validation" for take in takes):
        return takes
    of_parts = [
        {t.label for t in takes if t.split == part and t.label != "unknown"} for part in ("validation", "held_out")
    ]
    old, new = ("held_out", "test") if of_parts[0] == of_parts[1] else ("validation", "held_out")
    return tuple(replace(take, split=new) if take.split == old else take for take in takes)  # type: ignore[arg-type]


def _usable_names(
    folder: Path, corpus_name: str, *, unlabelled_are_normal: bool = False
) -> tuple[list[str], list[Skipped]]:
    """Files below the folder that are audio with a label, and why each other audio file is not used.

    Hidden files and files that are no audio are only counted.
    """
    names: list[str] = []
    skipped: list[Skipped] = []
    counted: dict[str, list[str]] = {"hidden": [], "not audio": []}
    seen: set[str] = set()
    real_paths = RealPaths()
    files = list(walk(folder, folder))
    twins = {file.with_suffix("") for file in files if file.suffix.lower() in LIBSNDFILE_SUFFIXES}
    # Links last, so that of a file and a link to it the file is used.
    for file in sorted(files, key=os.path.islink):
        name = file.relative_to(folder).as_posix()
        if file.name.startswith(".") or file.name.lower() in HIDDEN_BY_WINDOWS:
            counted["hidden"].append(name)
        elif name.lower() in WORKBOOKS:
            skipped.append(Skipped(name=name, reason=f"{name!r} is a workbook; save it as {MANIFEST} to use it"))
        elif file.suffix.lower() not in LOOKS_LIKE_AUDIO and not file.is_dir():
            counted["not audio"].append(name)
        elif reason := _why_not(file, name, folder, seen, corpus_name, unlabelled_are_normal, real_paths):
            skipped.append(Skipped(name=name, reason=reason))
        elif is_for_ffmpeg(file) and file.with_suffix("") in twins:
            skipped.append(Skipped(name=name, reason=f"{name!r} has the name of another file, which was converted"))
        else:
            names.append(name)
    return sorted(names), [*skipped, *_counts(counted)]


def _why_not(
    file: Path,
    name: str,
    root: Path,
    seen: set[str],
    corpus_name: str,
    unlabelled_are_normal: bool,
    real_paths: RealPaths,
) -> str:
    """Why a file that looks like audio is not used, or an empty string."""
    if reason := why_unusable(file, name, root, suffixes=READABLE_SUFFIXES, real_paths=real_paths):
        return reason
    if parse_path(name, corpus_name=corpus_name, unlabelled_are_normal=unlabelled_are_normal) is None:
        return f"{name!r} {UNLABELLED} ({EXAMPLES}), and has no name as in DCASE"
    real_path = real_paths(file)
    if real_path in seen:
        return f"{name!r} is a link to a file that is already listed"
    seen.add(real_path)
    return ""


def _counts(names_by_kind: Mapping[str, Sequence[str]]) -> list[Skipped]:
    """One entry for each kind with its number of files."""
    return [
        Skipped(
            name=f"{kind} files",
            reason=f"{len(names)} {'file is' if len(names) == 1 else 'files are'} {kind}, such as {min(names)!r}",
        )
        for kind, names in names_by_kind.items()
        if names
    ]


def _group_channels(names: Iterable[str]) -> tuple[list[tuple[str, ...]], list[Skipped]]:
    """The files of each take in the order of their microphones, and the takes that lack a microphone of others.

    Files of one folder are one take if their names differ only in the number of the microphone.
    """
    takes: list[tuple[str, ...]] = []
    groups: dict[str, dict[int, str]] = defaultdict(dict)
    for name in names:
        path = PurePosixPath(name)
        channel = split_channel(path.stem)
        if channel is None:
            takes.append((name,))
            continue
        group = groups[(path.parent / f"{channel.take}{path.suffix.lower()}").as_posix()]
        if group.setdefault(channel.channel, name) != name:
            raise _doubled(channel.channel, group[channel.channel], name)
    complete, incomplete = _divide_complete(groups.values())
    return sorted([*takes, *complete]), incomplete


def _divide_complete(groups: Collection[Mapping[int, str]]) -> tuple[list[tuple[str, ...]], list[Skipped]]:
    """Takes with every microphone that occurs in the folder, and the other takes."""
    example = {channel: name for group in groups for channel, name in group.items()}
    complete, incomplete = [], []
    for group in groups:
        names = tuple(group[channel] for channel in sorted(group))
        missing = sorted(example.keys() - group.keys())
        if missing:
            reason = f"the take of {names[0]!r} has no microphone {missing[0]}, unlike that of {example[missing[0]]!r}"
            incomplete.append(Skipped(name=names[0], reason=reason))
        else:
            complete.append(names)
    return complete, incomplete


def _doubled(channel: int, first: str, second: str) -> UserError:
    return UserError(
        f"A take must have one file a microphone, but got {first!r} and {second!r}, both number {channel}. "
        "Rename or remove one of them."
    )


def _take_of(root: Path, names: tuple[str, ...], corpus_name: str, *, unlabelled_are_normal: bool) -> TakeFiles:
    parsed = parse_path(names[0], corpus_name=corpus_name, unlabelled_are_normal=unlabelled_are_normal)
    assert parsed is not None, names
    return TakeFiles(
        root=root,
        names=names,
        machine=parsed.machine,
        label=parsed.label,
        condition=parsed.condition,
        split=parsed.split,
    )


def _check_one_noise_level(takes: Iterable[TakeFiles]) -> None:
    """MIMII has the same takes at three noise levels. One level must not be trained on and another judged."""
    levels: dict[str, int] = {}
    for take in takes:
        level = noise_level_db(take.names[0])
        if level is not None and levels.setdefault(take.machine, level) != level:
            raise UserError(
                f"Machine {take.machine!r} must have one noise level, but got {levels[take.machine]} dB and "
                f"{level} dB, the same takes twice. Give the folder of one level."
            )
