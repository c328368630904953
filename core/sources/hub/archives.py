"""Finds a data set of the Hub and its archives: on the Hub, in the cache, or as a copy on disk.

data/train_normal.tar.gz, data/test_normal.tar.gz, data/test_anomaly.tar.gz       the names state split and label
    010003_ToyCar_case4_normal_IND_ch1_0003.wav                                   one row: one microphone of one take
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from core.data.recordings import Label, Skipped
from core.errors import UserError
from core.sources.hub.archive_rows import Archive, Readable, Split
from core.sources.hub.download import HubDownload, HubFile, Retries, list_files
from core.sources.walk import is_within

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz")
LAYOUT = "data/train_normal.tar.gz, data/test_normal.tar.gz and data/test_anomaly.tar.gz"


@dataclass(frozen=True, kw_only=True, eq=False)
class ArchiveSet:
    """All archives of a data set; those of the train split come first."""

    name: str
    """Usable in a file name."""
    description: str
    identity: str
    """Differs for different content: the commit, or the digests of the archives."""
    archives: tuple[Archive, ...]
    skipped: tuple[Skipped, ...]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_archives(place: str, *, revision: str, retries: Retries, digest_of: Callable[[Path], str]) -> ArchiveSet:
    """`place` is OWNER/NAME, or a path that begins with /, ./, ../ or ~.

    Raises UserError for a place that does not exist, cannot be reached, or has no archives.
    """
    if place.startswith(("/", "./", "../", "~")) or place in (".", ".."):
        return _copy_on_disk(Path(place).expanduser(), digest_of)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", place):
        raise UserError(
            f"Hub data set must be OWNER/NAME or a path that begins with / or ./, but got {place!r}. "
            "Correct the text after hub:."
        )
    from huggingface_hub import is_offline_mode  # imported here, because a copy on disk does not need it

    return _in_the_cache(place, revision) if is_offline_mode() else _on_the_hub(place, revision, retries)


def _on_the_hub(repository: str, revision: str, retries: Retries) -> ArchiveSet:
    files = {file.name: file for file in list_files(repository, revision, retries=retries)}
    commit = next((file.commit for file in files.values()), "")
    sources = {name: partial(_download, file, retries) for name, file in files.items()}
    description = f"Hugging Face data set {repository} at {commit[:7]}, streamed"
    return _archive_set(repository, f"{repository}@{commit}", description, sources, ())


def _download(file: HubFile, retries: Retries) -> AbstractContextManager[Readable]:
    return closing(HubDownload(file, retries=retries))


def _open(path: Path) -> AbstractContextManager[Readable]:
    return path.open("rb")


def _in_the_cache(repository: str, revision: str) -> ArchiveSet:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    patterns = [f"*{suffix}" for suffix in ARCHIVE_SUFFIXES]
    try:
        snapshot = snapshot_download(
            repository, repo_type="dataset", revision=revision, local_files_only=True, allow_patterns=patterns
        )
    except (LocalEntryNotFoundError, ValueError) as error:  # ValueError: a name that the Hub does not allow
        raise UserError(
            f"Hub data set {repository!r} must be in the cache while HF_HUB_OFFLINE=1, but got nothing complete for "
            f"revision {revision!r}. Run `hf download --repo-type dataset {repository}` with a network, or use a copy "
            "on disk with hub:/path/to/copy."
        ) from error
    root = Path(snapshot)
    sources = {name: partial(_open, path) for name, path in _files_below(root).items()}
    description = f"Hugging Face data set {repository} at {root.name[:7]}, from the cache"
    return _archive_set(repository, f"{repository}@{root.name}", description, sources, ())


def _copy_on_disk(root: Path, digest_of: Callable[[Path], str]) -> ArchiveSet:
    if not root.is_dir():
        raise UserError(f"Hub data set's copy must be a folder, but got {str(root)!r}. Correct the path after hub:.")
    name = Path(os.path.realpath(root)).name
    files = _files_below(root)
    # A snapshot of the cache holds links to files beside it.
    real_root = Path(os.path.realpath(root.parents[1] if root.parent.name == "snapshots" else root))
    inside = {file: path for file, path in files.items() if is_within(path, real_root)}
    skipped = tuple(
        Skipped(name=file, reason=f"{file!r} is a link that leads out of the folder") for file in files.keys() - inside
    )
    try:
        identity = "\n".join(f"{PurePosixPath(file).name}\t{digest_of(path)}" for file, path in inside.items())
    except OSError as error:
        raise UserError(
            f"Archives in {name!r} must be readable, but got {str(error)!r}. Change their permissions."
        ) from error
    sources = {file: partial(_open, path) for file, path in inside.items()}
    return _archive_set(name, identity, f"copy on disk of a Hugging Face data set, {name}", sources, skipped)


def _files_below(root: Path) -> dict[str, Path]:
    """Archives in the folder and in its subfolders, sorted by name, without hidden ones."""
    paths = sorted(path for pattern in ("*", "*/*") for path in root.glob(pattern))
    found = {path.relative_to(root): path for path in paths if path.name.endswith(ARCHIVE_SUFFIXES)}
    return {name.as_posix(): path for name, path in found.items() if not any(p.startswith(".") for p in name.parts)}


def _archive_set(
    name: str,
    identity: str,
    description: str,
    sources: Mapping[str, Callable[[], AbstractContextManager[Readable]]],
    skipped: tuple[Skipped, ...],
) -> ArchiveSet:
    archives, others = [], list(skipped)
    for file, source in sorted(sources.items()):
        split = _split_of(file)
        if split is not None:
            archives.append(Archive(name=file, split=split, label=_label_of(file), open=source))
        elif file.endswith(ARCHIVE_SUFFIXES):
            others.append(Skipped(name=file, reason=f"{file!r} begins with neither train nor test"))
    if not archives:
        raise UserError(f"Hub data set {name!r} must have archives such as {LAYOUT}, but got none. Use another one.")
    return ArchiveSet(
        name=re.sub(r"[^\w.-]+", "-", name.rpartition("/")[2]).strip("-.") or "hub",
        description=description,
        identity=identity,
        archives=tuple(sorted(archives, key=lambda archive: archive.split != "train")),
        skipped=tuple(others),
    )


def _split_of(name: str) -> Split | None:
    file = PurePosixPath(name).name.lower()
    if not file.endswith(ARCHIVE_SUFFIXES):
        return None
    return "train" if file.startswith("train") else "held_out" if file.startswith("test") else None


def _label_of(name: str) -> Label | None:
    """By the words of the file's name; None if it contains both labels or neither."""
    words = set(re.split(r"[^a-z]+", PurePosixPath(name).name.lower()))
    is_normal = "normal" in words
    is_anomalous = bool(words & {"anomaly", "anomalies", "anomalous", "abnormal"})
    if is_normal == is_anomalous:
        return None
    return "normal" if is_normal else "anomalous"
