"""Any folder of audio files: with a manifest, or by the names of its folders and files.

folder/manifest.csv                 see core/sources/folders/manifest.py; preferred where there is one
folder/normal/**.wav                one machine, named like the folder
folder/fan/normal/**.wav            one machine for each folder above a `normal`
folder/fan/train/normal_id_01_00000000.wav, and others: see core/sources/folders/file_names.py
folder/normal/7_ch1.wav, 7_ch2.wav  one take of two microphones
"""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from core.data.digests import Digest, digest_of
from core.data.recordings import BadRecording, Corpus, Recording, Skipped
from core.errors import UserError
from core.sources.audio_files import LOOKS_LIKE_AUDIO, TakeFiles, recording_of
from core.sources.folders.file_names import LABELS, noise_level_db, parse_path, split_channel
from core.sources.folders.manifest import read_manifest
from core.sources.walk import walk, why_unusable

MANIFEST = "manifest.csv"


def open_folder(path: Path, *, skip_bad_files: bool = False, digest_of: Digest = digest_of) -> Corpus:
    """Lists a folder, or the manifest that is given itself: reads headers, decodes nothing.

    Raises UserError for a folder that is missing or holds nothing usable, and BadRecording for a file whose header
    cannot be read, unless `skip_bad_files`.
    """
    manifest = _manifest_of(path)
    folder = Path(os.path.realpath(path.parent if path.is_file() else path))
    name = _corpus_name(folder, manifest)
    takes, passed_over = (read_manifest(manifest), ()) if manifest else _list_by_name(folder, name)
    recordings, bad = _open_takes(takes, skip_bad_files=skip_bad_files, digest_of=digest_of)
    skipped = (*passed_over, *bad)
    if not recordings:
        raise _nothing_found(path, skipped)
    machines = len({recording.machine for recording in recordings})
    description = f"{len(recordings)} recordings of {machines} {'machine' if machines == 1 else 'machines'} in {name}"
    return Corpus(name=name, description=description, recordings=recordings, skipped=skipped)


def _manifest_of(path: Path) -> Path | None:
    if path.is_dir():
        return path / MANIFEST if (path / MANIFEST).is_file() else None
    if not path.exists():
        raise UserError(f"Data folder must exist, but got {str(path)!r}. Correct the path after folder: in the study.")
    if path.suffix.lower() != ".csv":
        raise UserError(f"Data must be a folder or a manifest named *.csv, but got {str(path)!r}. Name the folder.")
    return path


def _corpus_name(folder: Path, manifest: Path | None) -> str:
    name = folder.name if manifest is None or manifest.name == MANIFEST else f"{folder.name}-{manifest.stem}"
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "folder"


def _open_takes(
    takes: Sequence[TakeFiles], *, skip_bad_files: bool, digest_of: Digest
) -> tuple[tuple[Recording, ...], tuple[Skipped, ...]]:
    recordings, bad = [], []
    for take in takes:
        try:
            recordings.append(recording_of(take, digest_of=digest_of))
        except BadRecording as error:
            if not skip_bad_files:
                raise
            bad.append(Skipped.because_of(error, take.names[0]))
    return tuple(recordings), tuple(bad)


def _nothing_found(path: Path, skipped: Sequence[Skipped]) -> UserError:
    first, more = [entry.reason for entry in skipped[:3]], len(skipped) - 3
    left_out = f" (left out: {'; '.join(first)}{f'; and {more} more' if more > 0 else ''})" if skipped else ""
    normal, *others = LABELS
    return UserError(
        f"Data folder must hold audio in folders named {normal} and {' or '.join(others)}, with names as in DCASE, "
        f"or a {MANIFEST}, but got nothing usable in {str(path)!r}{left_out}. Sort the files into these folders."
    )


def _list_by_name(folder: Path, corpus_name: str) -> tuple[tuple[TakeFiles, ...], tuple[Skipped, ...]]:
    names, skipped = _usable_names(folder, corpus_name)
    groups, incomplete = _group_channels(names)
    takes = tuple(_take_of(folder, group, corpus_name) for group in groups)
    _check_one_noise_level(takes)
    return takes, (*skipped, *incomplete)


def _usable_names(folder: Path, corpus_name: str) -> tuple[list[str], list[Skipped]]:
    """Files below the folder that are audio with a label, and why others are not; what never was audio is counted."""
    names: list[str] = []
    skipped: list[Skipped] = []
    counted: dict[str, list[str]] = {"hidden": [], "not audio": []}
    seen: set[str] = set()
    # Links last, so that of a file and a link to it the file is used.
    for file in sorted(walk(folder, folder), key=os.path.islink):
        name = file.relative_to(folder).as_posix()
        if file.name.startswith("."):
            counted["hidden"].append(name)
        elif file.suffix.lower() not in LOOKS_LIKE_AUDIO and not file.is_dir():
            counted["not audio"].append(name)
        elif reason := _why_not(file, name, folder, seen, corpus_name):
            skipped.append(Skipped(name=name, reason=reason))
        else:
            names.append(name)
    return sorted(names), [*skipped, *_counts(counted)]


def _why_not(file: Path, name: str, root: Path, seen: set[str], corpus_name: str) -> str:
    """Why a file that looks like audio is passed over; empty when it is used."""
    if reason := why_unusable(file, name, root):
        return reason
    if parse_path(name, corpus_name=corpus_name) is None:
        return f"{name!r} lies in no folder named {', '.join(LABELS)}, and has no name as in DCASE"
    real_path = os.path.realpath(file)
    if real_path in seen:
        return f"{name!r} is a link to a file that is listed already"
    seen.add(real_path)
    return ""


def _counts(names_by_kind: Mapping[str, Sequence[str]]) -> list[Skipped]:
    """One entry a kind: pictures and notes are no news file by file."""
    return [
        Skipped(
            name=f"{kind} files",
            reason=f"{len(names)} {'file is' if len(names) == 1 else 'files are'} {kind}, such as {min(names)!r}",
        )
        for kind, names in names_by_kind.items()
        if names
    ]


def _group_channels(names: Iterable[str]) -> tuple[list[tuple[str, ...]], list[Skipped]]:
    """The files of each take in the order of their microphones, and the takes that lack one that others have.

    Files of one folder are one take where they differ in the number of the microphone alone.
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
    """Takes with all microphones that any take has, and the others."""
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


def _take_of(root: Path, names: tuple[str, ...], corpus_name: str) -> TakeFiles:
    parsed = parse_path(names[0], corpus_name=corpus_name)
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
    """MIMII has the same takes under more or less noise: one of them must not be trained on and the other judged."""
    levels: dict[str, int] = {}
    for take in takes:
        level = noise_level_db(take.names[0])
        if level is not None and levels.setdefault(take.machine, level) != level:
            raise UserError(
                f"Machine {take.machine!r} must be there at one noise level, but got {levels[take.machine]} dB and "
                f"{level} dB, the same takes twice. Name the folder of one of them."
            )
