"""Sets of clips: some of a set, and several sets as one."""

from collections.abc import Sequence
from dataclasses import fields
from itertools import chain
from typing import Any

import numpy as np

from core.data.clips import ClipSet


def some_of(clips: ClipSet, which: list[int]) -> ClipSet:
    """The clips of these indices, in their order."""

    def of(values: Any) -> Any:
        if values is None:
            return None
        return values[which] if isinstance(values, np.ndarray) else tuple(values[index] for index in which)

    return ClipSet(**{each.name: of(getattr(clips, each.name)) for each in fields(ClipSet)})


def joined(sets: Sequence[ClipSet]) -> ClipSet:
    """One set after the other."""

    def join(values: Sequence[Any]) -> Any:
        if values[0] is None:
            return None
        return np.concatenate(values) if isinstance(values[0], np.ndarray) else tuple(chain(*values))

    return ClipSet(**{each.name: join([getattr(clips, each.name) for clips in sets]) for each in fields(ClipSet)})
