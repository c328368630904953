"""The shape of a WaveNet (core/model/wavenet.py) and its precision, and what follows without building the network."""

import math
from dataclasses import dataclass
from typing import Literal

from core.errors import UserError

KERNEL = 2
FRONT_KERNEL = 2
Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class WaveNetConfig:
    """The shape of the network."""

    num_channels: int
    """Microphones, C."""
    mu_law_levels: int = 256
    """Levels a sample can take, Q."""
    dilation_depth: int = 6
    """Layers in a full stack, with dilations 1, 2, 4 .. 2 ** (depth - 1)."""
    receptive_field_samples: int = 128
    """How many past samples a prediction depends on; the dilations meet it exactly."""
    residual_channels: int = 16
    """Width of the residual path, R."""
    skip_channels: int = 32
    """Width of the skip path, and of the hidden layer before the heads, S."""
    precision: Precision = "float32"
    """Of the matrix products."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UserError(f"network.precision must be one of {', '.join(PRECISIONS)}, but got {self.precision!r}.")
        for name in ("num_channels", "dilation_depth", "residual_channels", "skip_channels"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, but got {getattr(self, name)}.")
        if self.dilation_depth > 16:
            raise UserError(f"dilation_depth must be at most 16, but got {self.dilation_depth}.")
        if self.receptive_field_samples < FRONT_KERNEL + 1:
            raise UserError(
                f"receptive_field_samples must be at least {FRONT_KERNEL + 1}, but got {self.receptive_field_samples}. "
                "Raise receptive_field_ms or the sample rate."
            )

    @property
    def dilations(self) -> tuple[int, ...]:
        return dilations_for(self.dilation_depth, self.receptive_field_samples)


def dilations_for(depth: int, receptive_field_samples: int) -> tuple[int, ...]:
    """Dilations double up to the depth and start again until the receptive field is met.

    The last layer's dilation is shortened to make the sum exact: 10 layers asked for 3071 samples are three full
    stacks, and 100 samples are 1, 2, 4, 8, 16, 32 and 35.
    """
    missing = receptive_field_samples - FRONT_KERNEL
    dilations: list[int] = []
    while missing > 0:
        dilation = min(2 ** (len(dilations) % depth), missing)
        dilations.append(dilation)
        missing -= dilation * (KERNEL - 1)
    return tuple(dilations)


def receptive_field_of(dilations: tuple[int, ...]) -> int:
    """Past samples that one output depends on: the front kernel, plus (kernel - 1) * dilation a layer."""
    return FRONT_KERNEL + (KERNEL - 1) * sum(dilations)


def describe(config: WaveNetConfig) -> dict[str, int]:
    """Derived facts of a shape, without building it."""
    return {
        "receptive_field_samples": config.receptive_field_samples,
        "num_layers": num_layers_of(config),
        "num_stacks": math.ceil(num_layers_of(config) / config.dilation_depth),
        "num_weights": count_weights(config),
    }


def num_layers_of(config: WaveNetConfig) -> int:
    """The length of `config.dilations`, computed without listing them, as a hostile file may ask for billions."""
    num_stacks, rest = divmod(config.receptive_field_samples - FRONT_KERNEL, (1 << config.dilation_depth) - 1)
    return num_stacks * config.dilation_depth + rest.bit_length()  # 1 + 2 + 4 + .. up to the shortened one


def weight_shapes(config: WaveNetConfig) -> dict[str, tuple[int, ...]]:
    """The shapes of the network's tensors by their names in its state_dict, without building it."""
    width, skip, num_codes = config.residual_channels, config.skip_channels, config.num_channels * config.mu_law_levels
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (num_codes, FRONT_KERNEL * width)}
    num_layers = num_layers_of(config)
    for layer in range(num_layers):
        num_outputs = skip + (width if layer < num_layers - 1 else 0)
        shapes |= _linear(f"blocks.{layer}.gate", KERNEL * width, 2 * width)
        shapes |= _linear(f"blocks.{layer}.out", width, num_outputs)
    return shapes | _linear("hidden", skip, skip) | _linear("heads", skip, num_codes)


def _linear(name: str, num_inputs: int, num_outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (num_outputs, num_inputs), f"{name}.bias": (num_outputs,)}


def count_weights(config: WaveNetConfig) -> int:
    """Weights and biases of the network that the configuration describes."""
    return sum(math.prod(shape) for shape in weight_shapes(config).values())
