"""What a person sees while recordings are decoded into the store: the size beforehand, then a bar."""

import os
import sys

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from core.data.store import Store


class PreparationBar:
    """Says how much room the store will take; a bar in a terminal, the one line without."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("preparing"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not sys.stdout.isatty(),
        )
        self._task = self._bar.add_task("preparing")

    def begin(self, num_takes: int, num_bytes: int, store: Store) -> None:
        print(
            f"Decoding {num_takes} recordings once: {num_bytes / 1e6:,.1f} MB in {os.path.relpath(store.directory)} "
            f"(it holds {store.used_bytes() / 1e6:,.1f} MB of at most {store.max_bytes / 1e9:g} GB).",
            flush=True,
        )
        self._bar.update(self._task, total=num_takes)
        self._bar.start()

    def advance(self) -> None:
        self._bar.advance(self._task)

    def end(self) -> None:
        self._bar.stop()
