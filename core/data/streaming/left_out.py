"""What a stream brings that cannot be used, each thing once, although a stream may be read several times."""

from collections.abc import Callable, Iterator

from core.data.recordings import Skipped

MAX_LEFT_OUT_SAID = 5
"""So many are printed while the stream is read. The study's result lists all of them."""


class LeftOut:
    """Collects what was skipped, and prints the first of it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._known: dict[Skipped, None] = {}

    def add(self, skipped: Skipped) -> None:
        if skipped in self._known:
            return
        self._known[skipped] = None
        if len(self._known) <= MAX_LEFT_OUT_SAID:
            self._say(f"left out: {skipped.name}: {skipped.reason}")
        elif len(self._known) == MAX_LEFT_OUT_SAID + 1:
            self._say("more is left out; python -m core.survey lists it")

    def __iter__(self) -> Iterator[Skipped]:
        return iter(tuple(self._known))
