"""Streams a data set of the Hugging Face Hub in the layout of ToyADMOS. Each row is one microphone of one take.

hub:OWNER/NAME          over the network, or from the cache with HF_HUB_OFFLINE=1
hub:/path/to/copy       the same archives on disk
"""

import hashlib
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path, PureWindowsPath

from core.data.recordings import Recording, Skipped, StreamedCorpus
from core.errors import UserError
from core.sources.hub.archive_rows import Row, stream_rows
from core.sources.hub.archives import ArchiveSet, find_archives, sha256_of
from core.sources.hub.download import Retries
from core.sources.hub.takes import Microphone, TakeAssembler
from core.sources.options import read_options
from core.sources.toyadmos.names import ToyAdmosName, parse_name

NUM_PEEKED_ROWS = 32
"""Of each archive. They are held in memory until their turn."""
LONGEST_KEY = 1000


@dataclass(frozen=True, kw_only=True)
class HubConfig:
    """The part of a data set of the Hub that is used."""

    revision: str = "main"
    """A branch, tag or commit. It is ignored for a copy on disk."""
    cases: Sequence[int] | None = None
    """Numbers of cases; None for all."""
    microphones: Sequence[int] | None = None
    """The channels of every take; None for all that occur in the first rows of the archives."""

    def __post_init__(self) -> None:
        parts = self.revision.split("/") if isinstance(self.revision, str) else [""]
        if "" in parts or ".." in parts or not str(self.revision).isprintable():
            raise UserError(f"data.revision must be a branch, tag or commit, but got {self.revision!r}. Correct it.")
        for name in ("cases", "microphones"):
            value = getattr(self, name)
            if value is not None and not _is_list_of_numbers(value):
                raise UserError(f"data.{name} must be a list of different numbers from 1 on, but got {value!r}.")


def open_hub(
    place: str,
    options: Mapping[str, object],
    *,
    digest_of: Callable[[Path], str] = sha256_of,
    scratch: Path | None = None,
    retries: Retries | None = None,
) -> StreamedCorpus:
    """`place` is the text after `hub:`; `options` are fields of HubConfig.

    `digest_of` gives the SHA-256 of an archive on disk. Rows wait in the folder `scratch` for the other microphones of
    their take; None uses the system's temporary folder. Raises UserError for wrong options and places. While takes are
    read, raises UserError for a row whose label contradicts its archive, a damaged archive, and a lost connection.
    """
    config = read_options(HubConfig, options, source="hub")
    found = find_archives(place, revision=config.revision, retries=retries or Retries(), digest_of=digest_of)
    _check_labels(found)
    choice = "\n".join(f"{sorted(chosen) if chosen else 'all'}" for chosen in (config.cases, config.microphones))
    return StreamedCorpus(
        name=found.name,
        description=found.description,
        fingerprint=hashlib.sha256(f"{found.identity}\n{choice}".encode()).hexdigest()[:12],
        machines=tuple(f"ToyCar-case{case}" for case in config.cases) if config.cases else None,
        takes=partial(_takes, found, config, scratch),
    )


def _is_list_of_numbers(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and len(set(map(str, value))) == len(value)
        and all(isinstance(number, int) and not isinstance(number, bool) and number >= 1 for number in value)
    )


def _check_labels(found: ArchiveSet) -> None:
    names = ", ".join(archive.name for archive in found.archives)
    if not any(archive.split == "train" and archive.label != "anomalous" for archive in found.archives):
        raise UserError(
            f"Hub data set {found.name!r} must have normal recordings to train on, in an archive named train*normal*, "
            f"but got {names}. Add it, or use another data set."
        )


def _takes(found: ArchiveSet, config: HubConfig, scratch: Path | None) -> Iterator[Recording | Skipped]:
    yield from found.skipped
    with ExitStack() as stack:
        folder = stack.enter_context(_scratch_folder(scratch))
        streams = [stream_rows(archive) for archive in found.archives]
        for stream in streams:
            stack.callback(stream.close)
        heads = [[] if config.microphones else list(islice(stream, NUM_PEEKED_ROWS)) for stream in streams]
        microphones = config.microphones or _microphones_of(found, [row for head in heads for row in head], config)
        sorter = _Sorter(config, tuple(sorted(microphones)))
        assembler = TakeAssembler(tuple(sorted(microphones)), scratch=Path(folder))
        for row in _in_turns([chain(head, stream) for head, stream in zip(heads, streams, strict=True)]):
            kept = sorter.sort(row)
            outcome = assembler.add(kept) if isinstance(kept, Microphone) else kept
            if outcome is not None:
                yield outcome
        yield from assembler.finish()
        yield from sorter.counted(found.name)


def _scratch_folder(scratch: Path | None) -> tempfile.TemporaryDirectory[str]:
    try:
        if scratch is not None:
            scratch.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix="takes-", dir=scratch)
    except OSError as error:
        raise UserError(
            f"The folder for rows that wait for other microphones must be writable, but got: {error}. "
            "Choose another store with --store, or use --no-store."
        ) from error


def _microphones_of(found: ArchiveSet, rows: Sequence[Row], config: HubConfig) -> set[int]:
    names = [name for row in rows if (name := _name_of(row)) is not None]
    asked = [name for name in names if _is_asked(name.case, config.cases)]
    if not names:
        example = f"got {rows[0].where!r}" if rows else "got no rows at all"
        raise UserError(
            f"Hub data set {found.name!r} must have names such as 010003_ToyCar_case4_normal_IND_ch1_0003.wav, but "
            f"{example}. Name another data set, or, if such rows come later, set data.microphones."
        )
    return {name.channel for name in asked or names}


def _in_turns(streams: Sequence[Iterator[Row]]) -> Iterator[Row]:
    """A row of each archive in turn: all anomalous rows lie in one archive, and both labels are needed early."""
    waiting = deque(streams)
    while waiting:
        stream = waiting.popleft()
        row = next(stream, None)
        if row is not None:
            yield row
            waiting.append(stream)


class _Sorter:
    """Sorts rows into used, wrong and ignored ones, and counts the last."""

    def __init__(self, config: HubConfig, microphones: tuple[int, ...]) -> None:
        self._config = config
        self._microphones = microphones
        self._num_rows: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def sort(self, row: Row) -> Microphone | Skipped | None:
        """None for a row that is only counted. Raises UserError for a row that contradicts the rest of the data set."""
        if _leads_outside(row.key):
            return Skipped(name=row.where, reason=f"Row {row.where!r} has an absolute path or one that leads outside")
        if row.wav is None:
            self._count("hidden or no wav files", row)
            return None
        name = _name_of(row)
        if name is None:
            return Skipped(name=row.where, reason=f"Row {row.where!r} has no label: its name is not one of ToyADMOS")
        _check_label(row, name)
        if not _is_asked(name.case, self._config.cases):
            self._count("of other cases than data.cases", row)
            return None
        if name.channel in self._microphones:
            # An anomalous take never goes to training, even from an archive of the train split.
            split = row.archive.split if name.label == "normal" else "held_out"
            return Microphone(name=name, where=row.where, split=split, wav=row.wav)
        if self._config.microphones is not None:
            self._count("of other microphones than data.microphones", row)
            return None
        raise UserError(
            f"Row {row.where!r} must be of a microphone of the first rows, {', '.join(map(str, self._microphones))}, "
            f"but got microphone {name.channel}. Set data.microphones to those you want."
        )

    def counted(self, corpus_name: str) -> Iterator[Skipped]:
        for kind, num_rows in self._num_rows.items():
            reason = f"{num_rows} rows are {kind}, the first: {self._first[kind]!r}"
            yield Skipped(name=corpus_name, reason=reason)

    def _count(self, kind: str, row: Row) -> None:
        self._num_rows[kind] += 1
        self._first.setdefault(kind, row.where)


def _leads_outside(key: str) -> bool:
    path = PureWindowsPath(key)  # parses both kinds of slashes
    return bool(path.anchor) or ".." in path.parts


def _name_of(row: Row) -> ToyAdmosName | None:
    return parse_name(row.key) if row.wav is not None and len(row.key) <= LONGEST_KEY else None


def _is_asked(number: int, asked: Sequence[int] | None) -> bool:
    return asked is None or number in asked


def _check_label(row: Row, name: ToyAdmosName) -> None:
    if row.archive.label not in (None, name.label):
        raise UserError(
            f"Row {row.where!r} must be {row.archive.label}, as the archive's name says, but got {name.condition!r} in "
            "its own name. Move it to the right archive, or correct its name."
        )
