"""Reads the rows of an archive of the Hub, one after the other; nothing is extracted to disk."""

import gzip
import tarfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol

from core.data.recordings import Label
from core.errors import UserError

Split = Literal["train", "held_out"]
MAX_ROW_BYTES = 256 * 1024 * 1024
"""A longer member is read up to this length and then counts as truncated, so that memory is bounded."""


class Readable(Protocol):
    """A file that is read only forwards."""

    def read(self, num_bytes: int = -1, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Archive:
    """One tar.gz of the data set."""

    name: str
    """Path within the data set, POSIX style; the `__url__` of its rows."""
    split: Split
    label: Label | None
    """The label of all its rows; None if the archive's name does not state it."""
    open: Callable[[], AbstractContextManager[Readable]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One member of an archive."""

    key: str
    """Its path in the archive, without `.wav`. It is not trusted, and is never used as a path on disk."""
    archive: Archive
    wav: bytes | None
    """None for a hidden member, and for one that is no wav file."""

    @property
    def where(self) -> str:
        """One printable line, for messages."""
        key = self.key if self.key.isprintable() else repr(self.key)
        return f"{key} in {self.archive.name}"


def stream_rows(archive: Archive) -> Generator[Row]:
    """The archive's members in their order; one is in memory at a time.

    Raises UserError for an archive that is damaged, truncated, or cannot be read.
    """
    # Imported here, because it takes about a second. With declared features, no audio decoder is needed.
    from datasets import DatasetInfo, Features, IterableDataset, Value  # type: ignore[import-untyped]
    from datasets.iterable_dataset import ExamplesIterable  # type: ignore[import-untyped]

    features = Features({"wav": Value("binary"), "__key__": Value("string"), "__url__": Value("string")})
    examples = ExamplesIterable(_examples, {"archive": archive})
    for row in IterableDataset(examples, info=DatasetInfo(features=features)):
        yield Row(key=row["__key__"], archive=archive, wav=row["wav"])


def _examples(archive: Archive) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows as the `webdataset` loader of `datasets` gives them.

    That loader is not used, because it ends at the first bad member or duplicate key, skips hidden members without
    counting them, and does not detect a truncated archive.
    """
    try:
        with archive.open() as source, gzip.GzipFile(fileobj=source, mode="rb") as content:  # type: ignore[call-overload]
            for index, (name, wav) in enumerate(_members(content)):
                yield index, {"wav": wav, "__key__": name, "__url__": archive.name}
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(
            f"Archive {archive.name!r} must be a whole tar.gz file, but got {reason!r}. Fetch it again, or repair it."
        ) from error


def _members(content: gzip.GzipFile) -> Iterator[tuple[str, bytes | None]]:
    """Keys and their wav files. Nothing is ever extracted to disk."""
    with tarfile.open(fileobj=content, mode="r:") as archive:
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # otherwise it would keep every member
            name = member.name.encode("utf-8", "backslashreplace").decode()
            hidden = PurePosixPath(name).name.startswith((".", "__"))
            file = archive.extractfile(member) if member.isreg() and not hidden else None
            if file is None or not name.lower().endswith(".wav"):
                yield name, None
            else:
                yield name[: -len(".wav")], file.read(MAX_ROW_BYTES)
    # Read to the end, where the checksum is. A damaged header looks like the end, after which there must be only zeros.
    while rest := content.read(1 << 20):
        if rest.strip(b"\0"):
            raise tarfile.ReadError("a damaged member")
