"""Threads that share out whole batches and clips; PyTorch lets go of Python's lock, so they run side by side."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

import torch

from core.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


class ThreadPool:
    """A fixed number of threads. Making one sets PyTorch's own threads to one: the two would fight for the cores."""

    def __init__(self, num_threads: int) -> None:
        if num_threads < 1:
            raise UserError(f"The number of threads must be at least 1, but got {num_threads}.")
        torch.set_num_threads(1)
        self.num_threads = num_threads
        self._executor = ThreadPoolExecutor(num_threads, thread_name_prefix="core")

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Results in the order of the items; the first error of any is raised."""
        return list(self._executor.map(work, items))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)
