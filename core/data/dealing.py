"""How recordings are dealt to the parts of a split: in an order by hash, in shares, and anomalous ones in turn.

The order depends on the recordings' ids and the seed, and not on the order in which they are listed.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

from core.data.recordings import Recording
from core.errors import UserError

Part = Literal["train", "calibration", "validation", "test"]
Parts = dict[Part, list[Recording]]
"""The recordings of each part, while they are dealt."""


def empty_parts() -> Parts:
    return {"train": [], "calibration": [], "validation": [], "test": []}


def by_machine(recordings: Iterable[Recording]) -> dict[str, list[Recording]]:
    machines: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        machines[recording.machine].append(recording)
    return machines


def shuffled(recordings: Iterable[Recording], seed: int) -> list[Recording]:
    return sorted(recordings, key=lambda recording: _hash(seed, recording.recording_id))


def unit(seed: int, *names: str) -> float:
    """A pseudo-random number in [0, 1)."""
    return int(_hash(seed, *names)[:13], 16) / 16**13


def _hash(seed: int, *names: str) -> str:
    return hashlib.sha256("\t".join([str(seed), *names]).encode()).hexdigest()


def share(count: int, fraction: float, *, keep: int) -> int:
    """The fraction of `count`, rounded: at least one, and so many that `keep` are left."""
    return min(max(1, round(count * fraction)), count - keep)


def deal_anomalous(takes: Sequence[Recording], parts: Parts, *, seed: int, turn: int = 0) -> None:
    """Adds the takes alternately to validation and test; with an odd `turn`, test is first.

    The alternation continues from one condition to the next and from one machine to the next. So the totals differ by
    at most one, for each machine and overall, and each part has a take of every condition with two takes or more. A
    machine's only anomalous take goes to the part whose turn it is. Raises UserError for fewer than two takes.
    """
    if len(takes) < 2:
        raise UserError(
            f"Anomalous recordings must be at least 2, one for validation and one for test, but got {len(takes)}. "
            "Add a take of a faulty machine, or leave that one out: then faults are injected into healthy ones."
        )
    in_turn: list[Recording] = []
    for _, of_machine in sorted(by_machine(takes).items()):
        conditions = {take.condition for take in of_machine}
        for condition in sorted(conditions, key=lambda name: _hash(seed, of_machine[0].machine, name)):
            in_turn += shuffled([take for take in of_machine if take.condition == condition], seed)
    parts["validation"] += in_turn[turn % 2 :: 2]
    parts["test"] += in_turn[1 - turn % 2 :: 2]
