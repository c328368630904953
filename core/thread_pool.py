"""Threads that work on whole batches and clips. PyTorch and NumPy release Python's lock, so they run in parallel."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

import torch
from threadpoolctl import threadpool_limits

from core.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


class ThreadPool:
    """A fixed number of threads. A new pool sets the own threads of PyTorch and of NumPy's algebra to one: they would
    compete for the cores. NumPy's return when the pool is closed."""

    def __init__(self, num_threads: int) -> None:
        if num_threads < 1:
            raise UserError(f"The number of threads must be at least 1, but got {num_threads}.")
        torch.set_num_threads(1)
        self._algebra = threadpool_limits(limits=1, user_api="blas")
        self.num_threads = num_threads
        self._executor = ThreadPoolExecutor(num_threads, thread_name_prefix="core")

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Returns results in the order of the items. Raises the first error of any."""
        return list(self._executor.map(work, items))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)
        self._algebra.restore_original_limits()
