"""A full disk: the study goes on as long as trainings can be dropped to make room for it."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from core.full_disk import is_disk_full
from hpo.results.kept_trainings import limit_trainings
from hpo.search.data_by_rate import Datasets
from hpo.search.study import OpenStudy
from hpo.terminal.console import Console

Result = TypeVar("Result")


def with_room(
    work: Callable[[], Result], searches: Sequence[OpenStudy], datasets: Datasets, console: Console
) -> Result:
    """Does the work and returns its result. On a full disk it drops all trainings that no unfinished trial needs, and
    does the work again, which must resume what it has begun. Raises the error of the disk where none is left to drop.

    `searches` are the search and, where the work is on finalists or after them, its companion.
    """
    while True:
        try:
            return work()
        except Exception as error:
            if not is_disk_full(error):
                raise
            dropped = limit_trainings(searches, datasets, keep_gb=0)
            if not dropped.num_trainings:
                raise
            console.say(
                f"warning: The disk was full. Dropped {dropped.num_trainings} training(s) "
                f"({dropped.num_bytes / 1e6:,.1f} MB) that no unfinished trial needs; the study goes on."
            )
