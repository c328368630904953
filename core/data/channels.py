"""Which channels of a recording are heard: all of them, some by their numbers, or one that is made of all.

C channels, T samples.
"""

from collections.abc import Sequence
from typing import Literal, TypeGuard, get_args

import numpy as np

from core.data.audio import Waveform
from core.errors import UserError

Mono = Literal["mix", "first"]
"""How a recording becomes mono: by the mean of its channels, or by the first of them."""
Channels = Mono | tuple[int, ...]
"""Or the numbers of those that are heard, from 1, ascending."""
WORDS: tuple[Mono, ...] = get_args(Mono)


def channels_of(value: object) -> Channels | None:
    """`channels` of a study file's [data], numbers in any order; None for all. UserError for what is none of it."""
    if value is None or value in WORDS:
        return value
    if not _are_numbers(value):
        raise UserError(
            f"data.channels must be {', '.join(WORDS)} or a list of different numbers from 1, but got {value!r}."
        )
    return tuple(sorted(value))


def _are_numbers(value: object) -> TypeGuard[Sequence[int]]:
    return (
        isinstance(value, list | tuple)
        and all(type(each) is int and each >= 1 for each in value)
        and 0 < len(value) == len(set(value))
    )


def numbers_of(channels: Channels | None, num_channels: int) -> tuple[int, ...]:
    """Of the channels that are read of a recording with so many, all of them for a mean. Some may not be there."""
    return (1,) if channels == "first" else microphones_of(channels, num_channels)


def microphones_of(channels: Channels | None, num_channels: int) -> tuple[int, ...]:
    """The numbers in the recording, from 1, of the channels that are heard, of which there are `num_channels`."""
    return channels if isinstance(channels, tuple) else tuple(range(1, 1 + num_channels))


def num_heard(channels: Channels | None, num_channels: int) -> int:
    """How many are left of so many."""
    return 1 if channels == "mix" else len(numbers_of(channels, num_channels))


def heard(waveform: Waveform, channels: Channels | None) -> Waveform:
    """(C, T) to those that are heard. All numbers must be there."""
    if channels is None:
        return waveform
    if channels == "mix":
        mean: Waveform = np.ascontiguousarray(waveform).mean(axis=0, keepdims=True)
        return mean
    return np.ascontiguousarray(waveform[[number - 1 for number in numbers_of(channels, len(waveform))]])
