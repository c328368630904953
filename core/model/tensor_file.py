"""Files of tensors with a JSON header (safetensors), and the state from which a training resumes.

Nothing is unpickled. A file is written under another name and renamed, so a reader sees a whole file or no file.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from core.errors import UserError
from core.model.training import Optimizer
from core.model.wavenet import WaveNet
from core.whole_file import whole_file

HEADER = "header"
MAX_HEADER_BYTES = 2**22
MAX_REASON = 200
"""Characters of a library's message."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Writes tensors and a JSON header, whole or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as scratch:
        # save_file would let only the owner read the file.
        scratch.write_bytes(save(contiguous, metadata={HEADER: json.dumps(header)}))


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """What a file says of one tensor."""

    dtype: str
    """In safetensors' words: "F32"."""
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class OpenTensors:
    """A file of tensors of which no tensor is read yet."""

    header: str
    """JSON text."""
    tensors: Mapping[str, TensorInfo]
    read: Callable[[], dict[str, Tensor]]
    """Reads all tensors to the CPU."""


@contextmanager
def open_tensors(path: Path, *, kind: str = "a checkpoint", max_bytes: int | None = None) -> Iterator[OpenTensors]:
    """Opens a file and reads its header. UserError for one that is missing, torn, not ours, or beyond `max_bytes`.

    `kind` says in messages what the file must be.
    """
    try:
        _check_size(path, kind, max_bytes)
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            slices = {name: file.get_slice(name) for name in names}
            yield OpenTensors(
                header=_header_of(path, kind, file.metadata()),
                tensors={
                    name: TensorInfo(dtype=part.get_dtype(), shape=tuple(part.get_shape()))
                    for name, part in slices.items()
                },
                read=lambda: {name: file.get_tensor(name) for name in names},
            )
    except FileNotFoundError as error:
        raise UserError(f"{path} must be {kind}, but there is no such file.") from error
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} must be {kind}, but it cannot be read: {_one_line(error)}.") from error


def _check_size(path: Path, kind: str, max_bytes: int | None) -> None:
    """UserError before safetensors maps a file that is too large, or reads a header that is longer than any of ours."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path} must be {kind}, but it is no plain file.")
    with path.open("rb") as file:
        num_header_bytes = int.from_bytes(file.read(8), "little")  # safetensors: the length of the JSON header,
        if file.read(1) not in (b"{", b""):  # then the header
            raise UserError(f"{path} must be {kind}, but it is a file of another kind.")
        num_bytes = file.seek(0, os.SEEK_END)
    for part, found, most in (("header", num_header_bytes, MAX_HEADER_BYTES), ("file", num_bytes, max_bytes)):
        if most is not None and found > most:
            raise UserError(f"{path} must be {kind}, but its {part} has {found:,} bytes; {most:,} are allowed.")


def _header_of(path: Path, kind: str, metadata: Mapping[str, str] | None) -> str:
    header = (metadata or {}).get(HEADER)
    if header is None:
        raise UserError(f"{path} must be {kind} of this project, but its header is missing.")
    return header


def _one_line(error: Exception) -> str:
    """What went wrong, without control characters and of bounded length: it may repeat a part of the file."""
    text = str(error)
    text = text if len(text) <= MAX_REASON else f"{text[:MAX_REASON]}..."
    return text if text.isprintable() else repr(text)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors on the CPU, and the header, of a file that this project has written itself.

    UserError for a file that is missing, torn, or not ours. A file from elsewhere is read by `load_detector`.
    """
    with open_tensors(path) as file:
        return file.read(), json.loads(file.header)


def save_training_state(
    path: Path,
    model: WaveNet,
    optimizer: Optimizer,
    header: Mapping[str, Any],
    others: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Saves weights, the optimizer's moments, the caller's header, and other tensors of the caller's."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
    write_tensors(path, {**tensors, **others}, header)


def load_training_state(path: Path, model: WaveNet, optimizer: Optimizer) -> dict[str, Any]:
    """Restores weights and moments, and returns the header."""
    tensors, header = read_tensors(path)
    restore_training_state(tensors, model, optimizer)
    return header


def restore_training_state(tensors: Mapping[str, Tensor], model: WaveNet, optimizer: Optimizer) -> None:
    """Restores weights and moments from the tensors of a file that `save_training_state` has written."""
    model.load_state_dict(
        {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    )
    state = optimizer.state_dict()
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, moment = name.split(".")
            state["state"].setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict(state)
