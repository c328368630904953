"""The precision of the network's matrix products.

All tensors are float32. With `bfloat16` the inputs of a product are rounded to 8 significant bits within it, and it is
summed in float32. A processor without instructions for that computes it in float32. PyTorch has one setting for the
whole process, so threads that ask for different precisions wait for each other.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from core.model.wavenet_config import Precision

SETTINGS: dict[Precision, str] = {"float32": "highest", "bfloat16": "medium"}
"""PyTorch's names. On a GPU `medium` is TF32."""


class _Inside:
    """The threads that compute at this moment, all of them in one precision."""

    def __init__(self) -> None:
        self._is_left = threading.Condition()
        self._num_threads = 0
        self._precision: Precision = "float32"
        self._before = ""
        """PyTorch's setting before the first of them."""

    def enter(self, precision: Precision) -> None:
        with self._is_left:
            self._is_left.wait_for(lambda: not self._num_threads or self._precision == precision)
            if not self._num_threads:
                self._precision, self._before = precision, torch.get_float32_matmul_precision()
                torch.set_float32_matmul_precision(SETTINGS[precision])
            self._num_threads += 1

    def leave(self) -> None:
        with self._is_left:
            self._num_threads -= 1
            if not self._num_threads:
                torch.set_float32_matmul_precision(self._before)
                self._is_left.notify_all()


_INSIDE = _Inside()


@contextmanager
def products_in(precision: Precision) -> Iterator[None]:
    """Within it float32 products of all threads have this precision. It does not nest."""
    _INSIDE.enter(precision)
    try:
        yield
    finally:
        _INSIDE.leave()
