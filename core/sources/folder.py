"""Any folder of audio files: with a manifest, or sorted by hand into `normal/` and `anomalous/`.

folder/manifest.csv                 see core/sources/manifest.py; preferred where there is one
folder/normal/**.wav                one machine, named like the folder
folder/fan/normal/**.wav            one machine for each folder above a `normal`
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from core.errors import UserError
from core.recordings import BadRecording, Corpus, Label, Recording, Skipped
from core.sources.audio_files import LOOKS_LIKE_AUDIO, READABLE_SUFFIXES, TakeFiles, is_within, recording_of
from core.sources.manifest import read_manifest

MANIFEST = "manifest.csv"
NORMAL_FOLDER = "normal"
ANOMALOUS_FOLDERS = ("anomalous", "abnormal", "anomaly", "faulty")


def open_folder(path: Path, *, skip_bad_files: bool = False) -> Corpus:
    """Lists a folder, or the manifest that is given itself: reads headers, decodes nothing.

    Raises UserError for a folder that is missing or holds nothing usable, and BadRecording for a file whose header
    cannot be read, unless `skip_bad_files`.
    """
    manifest = _manifest_of(path)
    folder = Path(os.path.realpath(path.parent if path.is_file() else path))
    name = _corpus_name(folder, manifest)
    takes, passed_over = (read_manifest(manifest), ()) if manifest else _list_label_folders(folder, name)
    recordings, bad = _open_takes(takes, skip_bad_files=skip_bad_files)
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
    takes: Sequence[TakeFiles], *, skip_bad_files: bool
) -> tuple[tuple[Recording, ...], tuple[Skipped, ...]]:
    recordings, bad = [], []
    for take in takes:
        try:
            recordings.append(recording_of(take))
        except BadRecording as error:
            if not skip_bad_files:
                raise
            bad.append(Skipped(name=take.names[0], reason=str(error)))
    return tuple(recordings), tuple(bad)


def _nothing_found(path: Path, skipped: Sequence[Skipped]) -> UserError:
    passed_over = f" ({len(skipped)} files were passed over, the first: {skipped[0].reason})" if skipped else ""
    return UserError(
        f"Data folder must hold audio in folders named {NORMAL_FOLDER} and {' or '.join(ANOMALOUS_FOLDERS)}, "
        f"or a {MANIFEST}, but got nothing usable in {str(path)!r}{passed_over}. Sort the files into these folders."
    )


def _list_label_folders(folder: Path, corpus_name: str) -> tuple[tuple[TakeFiles, ...], tuple[Skipped, ...]]:
    takes, skipped = [], []
    seen: set[str] = set()
    for file in _walk(folder, folder, seen):
        name = file.relative_to(folder).as_posix()
        reason = _why_not(file, name, folder, seen)
        if reason:
            skipped.append(Skipped(name=name, reason=reason))
        else:
            takes.append(_take_of(folder, name, corpus_name))
    return tuple(takes), tuple(skipped)


def _walk(folder: Path, root: Path, seen: set[str]) -> Iterator[Path]:
    """Files that look like audio, sorted, hidden folders left out. Links are followed once, and only within `root`."""
    real_path = os.path.realpath(folder)
    if real_path in seen:
        return
    seen.add(real_path)
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and entry.name.startswith("."):
            continue
        if entry.is_dir() and is_within(entry, root):
            yield from _walk(entry, root, seen)
        elif entry.is_dir() or entry.suffix.lower() in LOOKS_LIKE_AUDIO:
            yield entry


def _why_not(file: Path, name: str, root: Path, seen: set[str]) -> str:
    """Why a file is passed over; empty when it is used."""
    real_path = os.path.realpath(file)
    if file.name.startswith("."):
        return f"{name!r} is hidden"
    if not is_within(file, root):
        return f"{name!r} is a link that leads out of the folder"
    if not file.is_file():
        return f"{name!r} is a broken link or no plain file"
    if file.suffix.lower() not in READABLE_SUFFIXES:
        return f"{name!r} is not wav, flac, ogg or mp3"
    if not name.isprintable():
        return f"{name!r} has a name with characters that cannot be printed"
    if not _label_folders(name):
        return f"{name!r} lies in no folder named {NORMAL_FOLDER}, {', '.join(ANOMALOUS_FOLDERS)}"
    if real_path in seen:
        return f"{name!r} is a link to a file that is listed already"
    seen.add(real_path)
    return ""


def _label_folders(name: str) -> list[int]:
    """Where, among the parts of a path, the folders are that give a label."""
    folders = PurePosixPath(name).parts[:-1]
    return [i for i, part in enumerate(folders) if part.lower() in (NORMAL_FOLDER, *ANOMALOUS_FOLDERS)]


def _take_of(root: Path, name: str, corpus_name: str) -> TakeFiles:
    parts = PurePosixPath(name).parts
    labels: dict[int, Label] = {
        i: "normal" if parts[i].lower() == NORMAL_FOLDER else "anomalous" for i in _label_folders(name)
    }
    if len(set(labels.values())) > 1:
        raise UserError(
            f"File {name!r} must lie below one label, but got {' and '.join(parts[i] for i in labels)}. "
            "Move it out of one of these folders."
        )
    first = min(labels)
    machine = parts[first - 1] if first > 0 else corpus_name
    label = labels[first]
    return TakeFiles(
        root=root, names=(name,), machine=machine, label=label, condition="normal" if label == "normal" else ""
    )
