"""Cuts takes into parts that stand in for takes, where a machine has too few normal takes for a split.

A split needs four normal takes of a machine: to train on, to calibrate on, for validation and for test. Of a machine
with fewer, each normal take is cut into parts of equal length, PARTS in all, and each part counts as a take:

    one take        part 1 | part 2 | part 3 | ... | part 12
    is dealt as     train  | test   | validation ... in an order by the seed

What that cannot show is how takes differ, because the network has heard other parts of the takes that judge it.
"""

import math
import re
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from threading import Lock, local

from core.data.audio import Waveform
from core.data.clips import ClipConfig
from core.data.dealing import by_machine
from core.data.recordings import Corpus, Recording
from core.data.splits import MIN_NORMAL_TAKES
from core.errors import UserError

PARTS = 12
"""Of a machine: it divides by one, two and three takes, and a quarter of it is three."""
OF_PART = "/"
"""In a digest, between that of the take and the samples of the part."""
_LAST_READ = local()
"""The whole take of which a thread has read a part last. It goes with the thread: decoding has threads of its own."""
MIN_CLIPS = 2
"""In a part: two calibration clips are the least from which a spread is measured."""


@dataclass(frozen=True, kw_only=True)
class PartedCorpus:
    """A corpus in which each machine has takes enough for a split."""

    corpus: Corpus
    notes: tuple[str, ...]
    """One for each machine whose takes are cut. Empty where the corpus is as it was."""


def with_parts(corpus: Corpus, config: ClipConfig) -> PartedCorpus:
    """The corpus with parts in place of the normal takes of each machine that has too few.

    As it was, too, where recordings state their split. Raises UserError where takes are too short to be cut.
    """
    if any(recording.split for recording in corpus.recordings):
        return PartedCorpus(corpus=corpus, notes=())
    replaced: dict[str, list[Recording]] = {}
    notes = []
    for machine, takes in sorted(by_machine(corpus.recordings).items()):
        normal = [take for take in takes if take.label == "normal"]
        if not 0 < len(normal) < MIN_NORMAL_TAKES:
            continue
        parts = {take.recording_id: _parts_of(take, config, PARTS // len(normal)) for take in normal}
        num_parts = sum(map(len, parts.values()))
        if num_parts < MIN_NORMAL_TAKES:
            raise _too_short(machine, normal, config, num_parts)
        replaced |= parts
        notes.append(
            f"{machine}: {num_parts} parts of {len(normal)} normal "
            f"{'take stand' if len(normal) == 1 else 'takes stand'} in for takes, and cannot show how takes differ"
        )
    if not notes:
        return PartedCorpus(corpus=corpus, notes=())
    recordings = [part for take in corpus.recordings for part in replaced.get(take.recording_id, [take])]
    return PartedCorpus(corpus=replace(corpus, recordings=tuple(recordings)), notes=tuple(notes))


def digest_of_whole(digest: str) -> str:
    """The digest of the take that a part is of; that of a whole take stays."""
    return digest.partition(OF_PART)[0]


def share_samples(digest: str, other: str) -> bool:
    """Whether two takes or parts, by their digests, are of one take and overlap."""
    first, end = _samples_of(digest)
    other_first, other_end = _samples_of(other)
    return digest_of_whole(digest) == digest_of_whole(other) and first < other_end and other_first < end


def _samples_of(digest: str) -> tuple[float, float]:
    """The first sample and the end of a part; of a whole take everything."""
    first, _, end = digest.partition(OF_PART)[2].partition("-")
    return (int(first), int(end)) if end else (0, math.inf)


def id_of_whole(recording_id: str) -> str:
    """The id of the take that a part is of. A take's own id stays, unless it is named like a part."""
    return re.sub(r" part \d+ of \d+$", "", recording_id)


def _parts_of(take: Recording, config: ClipConfig, most: int) -> list[Recording]:
    """At most `most` parts of at least MIN_CLIPS clips; none of a take that is shorter than that."""
    count = min(most, int(take.seconds / (MIN_CLIPS * config.clip_seconds) + 1e-9))
    borders = [take.num_samples * index // count for index in range(count + 1)] if count else []
    whole = _SharedReading(take.read)
    return [
        replace(
            take,
            recording_id=f"{take.recording_id} part {index + 1} of {count}",
            num_samples=end - first,
            digest=f"{take.digest}{OF_PART}{first}-{end}",
            read=partial(whole.read_part, first, end),
        )
        for index, (first, end) in enumerate(pairwise(borders))
    ]


def _too_short(machine: str, takes: Sequence[Recording], config: ClipConfig, num_parts: int) -> UserError:
    part_s = MIN_CLIPS * config.clip_seconds
    lengths = " and ".join(f"{take.seconds:.3g} s" for take in takes)
    return UserError(
        f"Machine {machine!r} must have at least {MIN_NORMAL_TAKES} normal takes (train, calibration, validation, "
        f"test), or fewer that can be cut into {MIN_NORMAL_TAKES} parts of {part_s:g} s (two clips), "
        f"but got {len(takes)} of {lengths}, which hold {num_parts}. "
        f"Record {(MIN_NORMAL_TAKES - num_parts) * part_s:g} s more of it in one go, or shorten clips.clip_seconds."
    )


class _SharedReading:
    """Decodes a take once for its parts, as long as a thread has read no other take since."""

    def __init__(self, read: Callable[[], Waveform]) -> None:
        self._read = read
        self._held: Callable[[], Waveform | None] = lambda: None
        self._lock = Lock()

    def read_part(self, first: int, end: int) -> Waveform:
        """(C, end - first)."""
        with self._lock:
            whole = self._held()
            if whole is None:
                whole = self._read()
                self._held = weakref.ref(whole)
        _LAST_READ.whole = whole
        return whole[:, first:end].copy()
