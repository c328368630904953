"""The source `folder:PATH`: any folder of audio files, listed by its manifest or by the names of folders and files.

folder/manifest.csv                 is used where there is one: core/sources/folders/manifest.py
folder/normal/**.wav                one machine, named after the folder; other words for labels: labels.py
folder/fan/normal/**.wav            one machine for each folder above a `normal`
folder/fan/train/normal_id_01_00000000.wav, and other public data sets: file_names.py
folder/normal/7_ch1.wav, 7_ch2.wav  one take of two microphones
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.data.channels import Channels, channels_of
from core.data.digests import Digest, digest_of
from core.data.recordings import BadRecording, Corpus, Recording, Skipped
from core.errors import UserError
from core.sources.folders.labels import EXAMPLES
from core.sources.folders.manifest import MANIFEST, read_manifest
from core.sources.folders.manifest_rows import mistyped_columns
from core.sources.folders.takes_by_name import takes_by_name, with_usable_splits
from core.sources.folders.usable_files import UNLABELLED
from core.sources.options import read_options
from core.sources.take_files import TakeFiles, recording_of
from core.sources.toyadmos.tree import looks_like_tree


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
    takes, unusable = (read_manifest(manifest), ()) if manifest else takes_by_name(folder, name)
    usable = takes if manifest else with_usable_splits(takes)
    recordings, bad = _open_takes(usable, channels, skip_bad_files=skip_bad_files, digest_of=digest_of)
    skipped = (*unusable, *bad)
    if not recordings:
        raise _nothing_found(path, skipped)
    description = "; ".join(
        [_what_is_heard(recordings, name, channels), *_what_is_left_out(takes, usable, skipped), *_mistyped(manifest)]
    )
    return Corpus(name=name, description=description, recordings=recordings, skipped=skipped, channels=channels)


def _what_is_heard(recordings: Sequence[Recording], name: str, channels: Channels | None) -> str:
    machines = len({recording.machine for recording in recordings})
    of_machines = f"{machines} {'machine' if machines == 1 else 'machines'}"
    count = f"{len(recordings)} recording{'s' * (len(recordings) != 1)} of {of_machines} in {name}"
    if not isinstance(channels, tuple):
        return count
    return f"{count}, channel{'s' * (len(channels) > 1)} {', '.join(map(str, channels))} of each"


def _what_is_left_out(
    takes: Sequence[TakeFiles], usable: Sequence[TakeFiles], skipped: Sequence[Skipped]
) -> Iterator[str]:
    if any(take.split for take in takes) and not any(take.split for take in usable):
        yield "the split that they are named after lacks healthy ones in a part, so the study makes its own"
    if unlabelled := [each.name for each in skipped if UNLABELLED in each.reason]:
        yield f"{len(unlabelled)} without a label left out, such as {unlabelled[0]!r}"


def _mistyped(manifest: Path | None) -> Iterator[str]:
    for column, meant in (mistyped_columns(manifest) if manifest else {}).items():
        yield f"the column {column!r} is ignored: did you mean {meant!r}?"


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
