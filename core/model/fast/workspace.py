"""What a thread keeps from step to step: memory, and objects that own memory.

Fresh memory costs a page fault every 4 KiB, which can take longer than the arithmetic on it.
"""

import math
import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from torch import Tensor

Kept = TypeVar("Kept")

MAX_OBJECTS = 4


class Workspace:
    """Tensors and objects by name. A tensor that was taken is valid until its name is taken again."""

    def __init__(self) -> None:
        self._buffers: dict[Hashable, Tensor] = {}
        self._objects: dict[Hashable, object] = {}

    def take(self, name: Hashable, *shape: int, like: Tensor) -> Tensor:
        """A contiguous tensor of this shape with the dtype and the device of `like`. Its content is undefined."""
        name, size = (name, *_kind_of(like)), math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[name] = like.new_empty(size)
        return buffer[:size].view(shape)

    def keep(self, make: Callable[[], Kept], *, name: Hashable, like: Tensor) -> Kept:
        """What `make` returned for this name before. The objects that were used last are kept, MAX_OBJECTS of them."""
        name = (name, *_kind_of(like))
        found = self._objects.pop(name, None)
        kept: Kept = make() if found is None else found  # type: ignore[assignment]
        self._objects[name] = kept
        while len(self._objects) > MAX_OBJECTS:
            del self._objects[next(iter(self._objects))]
        return kept


def _kind_of(like: Tensor) -> tuple[Hashable, ...]:
    """PyTorch refuses to write into a tensor of inference mode outside of it."""
    return like.dtype, like.device, torch.is_inference_mode_enabled()


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.workspace = Workspace()


_OF_THREAD = _OfThread()


def workspace() -> Workspace:
    """The calling thread's."""
    return _OF_THREAD.workspace
