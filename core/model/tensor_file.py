"""Files of tensors with a JSON header (safetensors), and the state from which a training resumes.

Nothing is unpickled. A file is written under another name and renamed, so a reader sees a whole file or none.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.errors import UserError
from core.model.wavenet import WaveNet

HEADER = "header"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Writes tensors and a JSON header, whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(contiguous, scratch, metadata={HEADER: json.dumps(header)})
        with scratch.open("rb") as file:
            os.fsync(file.fileno())  # or a power cut could leave the new name with nothing in it
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)  # half a file takes room on a disk that may be full
        raise


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors on the CPU, and the header. UserError for a file that is missing, torn, or not ours."""
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError as error:
        raise UserError(f"{path} must be a checkpoint, but there is no such file.") from error
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} must be a checkpoint, but it cannot be read: {error}.") from error
    if header is None:
        raise UserError(f"{path} must be a checkpoint of this project, but its header is missing.")
    return tensors, json.loads(header)


def save_training_state(
    path: Path, model: WaveNet, optimizer: torch.optim.Optimizer, header: Mapping[str, Any]
) -> None:
    """Weights, the optimizer's moments, and what the caller wants to remember."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
    write_tensors(path, tensors, header)


def load_training_state(path: Path, model: WaveNet, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Puts weights and moments back where they were, and returns the header."""
    tensors, header = read_tensors(path)
    model.load_state_dict(
        {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    )
    state = optimizer.state_dict()
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, moment = name.split(".")
            state["state"].setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict(state)
    return header
