"""The progress of decoding recordings into the store: a line with the size beforehand, then a bar in a terminal."""

import os
import sys

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from core.data.store import Store


class PreparationBar:
    """Shows one preparation of a dataset. Without a terminal it prints the line alone."""

    def __init__(self, what: str) -> None:
        """`what` is decoded, for people: "at 4000 Hz"."""
        self._what = what
        self._bar = Progress(
            TextColumn("decoding"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not sys.stdout.isatty(),
        )
        self._task = self._bar.add_task("decoding")

    def begin(self, num_takes: int, num_bytes: int, store: Store) -> None:
        print(
            f"Decoding {num_takes} recordings {self._what} once: {num_bytes / 1e6:,.1f} MB in "
            f"{os.path.relpath(store.directory)} "
            f"(it holds {store.used_bytes() / 1e6:,.1f} MB of at most {store.max_bytes / 1e9:g} GB).",
            flush=True,
        )
        self._bar.update(self._task, total=num_takes)
        self._bar.start()

    def advance(self) -> None:
        self._bar.advance(self._task)

    def end(self) -> None:
        self._bar.stop()
