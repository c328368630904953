"""The rows of a manifest grouped to takes: one row, or one a microphone."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from core.errors import UserError
from core.sources.folders.manifest_rows import Row


def takes_of(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each take, by channel. A row without a take is a take by itself.

    Takes of different machines, labels or conditions may have one name. Raises UserError, naming the row, where rows
    of a take do not agree, or where takes have different channels.
    """
    _check_channels_have_takes(rows)
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[(*_what_is_heard(row), row.take) if row.take else (row.name,)].append(row)
    takes = [sorted(group, key=lambda row: _natural(row.channel)) for group in groups.values()]
    for take in takes:
        _check_take(take)
    _check_same_channels([take for take in takes if take[0].take and take[0].channel])
    return takes


def _what_is_heard(row: Row) -> tuple[str, ...]:
    return row.machine, row.label, row.condition


def _natural(text: str) -> list[tuple[int, str]]:
    """A sort key that puts `ch10` after `ch9`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _check_channels_have_takes(rows: Sequence[Row]) -> None:
    """Without takes, the microphones of one take would count as separate recordings and get into different splits."""
    alone = [row for row in rows if row.channel and not row.take]
    if len({row.channel for row in alone}) > 1:
        raise UserError(
            f"{alone[0].where}: take must be filled where channel is, but got nothing for channel "
            f"{alone[0].channel!r}. Give the files that were recorded together one take, or remove the column channel."
        )


def _check_take(take: Sequence[Row]) -> None:
    first = take[0]
    for previous, row in pairwise(take):
        if row.channel == previous.channel:
            got = f"channel {row.channel!r} again after" if row.channel else "no channel here and in"
            raise UserError(
                f"{row.where}: take {row.take!r} of machine {row.machine!r} must have one file a channel, "
                f"but got {got} {previous.where}. "
                "Give each file of the take its own channel, or each take its own name."
            )
        if row.split != first.split:
            raise UserError(
                f"{row.where}: all channels of a take must be in one split, but got {row.split} after "
                f"{first.split} in {first.where}. Correct one of them."
            )


def _check_same_channels(takes: Sequence[Sequence[Row]]) -> None:
    """The second channel must be the same microphone in every take. What most takes have is taken to be right."""
    channels = [tuple(row.channel for row in take) for take in takes]
    usual = Counter(channels).most_common(1)[0][0] if channels else ()
    for take, found in zip(takes, channels, strict=True):
        if found != usual:
            _check_not_torn(take, takes, usual)
            as_usual = takes[channels.index(usual)][0]
            raise UserError(
                f"{take[0].where}: take {take[0].take!r} must have channels {', '.join(usual)} as take "
                f"{as_usual.take!r} of {as_usual.where} has, but got {', '.join(found)}. "
                "List the missing files, or drop the take."
            )


def _check_not_torn(take: Sequence[Row], takes: Sequence[Sequence[Row]], usual: Sequence[str]) -> None:
    """A take of which a row differs in machine, label or condition looks like two takes, each without some channels."""
    for other in takes:
        together = sorted(row.channel for row in (*take, *other))
        if other is not take and other[0].take == take[0].take and together == sorted(usual):
            raise UserError(
                f"{take[0].where}: all channels of a take must have one machine, label and condition, but take "
                f"{take[0].take!r} is {_in_words(take[0])} there and {_in_words(other[0])} in {other[0].where}. "
                "Correct one of them, or give each take its own name."
            )


def _in_words(row: Row) -> str:
    return ", ".join(dict.fromkeys(part for part in _what_is_heard(row) if part))
