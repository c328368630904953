"""The front convolution and the blocks of `WaveNet` as matrix products in memory that is used again.

    codes (N + B, C) -> x (R, N) -> blocks -> gated units (L * R, n) -> sum of skips (S, M)

R residual and S skip channels, L layers, B windows of a batch side by side. The numbers are those of
`WaveNet.features`, except for rounding. What makes them faster, on a CPU above all:

- Matrices are (features, columns), and column t * B + b is sample t of window b. So the older tap of a dilated
  convolution is the same matrix `shift` = dilation * B columns earlier, a convolution is two products without a copy,
  and filter and gate are contiguous halves.
- tanh(f) sigmoid(g) is g' - 2 f' g', with f' = sigmoid(-2 f) and g' = sigmoid(g): one sigmoid of both halves and one
  fused product. PyTorch's tanh takes six times as long as its sigmoid.
- The gated units of all layers are rows of one matrix. So the skip path of all layers is one product, which is computed
  for the outputs alone.
- All matrices are allocated once for a shape, and all views of them are made once: in a small network, making a view
  takes as long as the arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

FILTER_SCALE = -2.0
"""tanh(f) = 1 - 2 sigmoid(-2 f)."""


@dataclass(frozen=True)
class BlockWeights:
    """The weights of one block, or their gradients, as in `ResidualBlock`."""

    gate: Tensor
    """(2 R, 2 R), of inputs (older tap, newer tap) and outputs (filter, gate)."""
    gate_bias: Tensor
    out: Tensor
    """(R + S, R), of outputs (residual, skip); (S, R) in the last block."""
    out_bias: Tensor


@dataclass(frozen=True, kw_only=True)
class StackShape:
    """The shape of a network's stack, and of what passes through it at once."""

    residual_channels: int
    skip_channels: int
    dilations: tuple[int, ...]
    num_windows: int
    num_columns: int
    """Of x, N. Each layer shortens it by its shift, unless it is a stream."""
    is_stream: bool = False
    """Whether a pass continues the one before: every layer remembers the last columns of its input."""

    @property
    def shifts(self) -> list[int]:
        return [dilation * self.num_windows for dilation in self.dilations]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Views of one layer's matrices, n columns each, and of its weights."""

    x: Tensor
    """(R, n + shift)."""
    older_x: Tensor
    newer_x: Tensor
    sigmoids: Tensor
    """(2 R, n), f' and g'."""
    filtered: Tensor
    gate: Tensor
    units: Tensor
    above: Tensor | None
    """The next layer's new columns of x."""
    older: Tensor
    """(2 R, R), the filter's rows scaled."""
    newer: Tensor
    bias: Tensor
    residual: Tensor
    residual_bias: Tensor


class Stack:
    """The matrices for passes of one shape. Load the weights before the first pass and whenever they have changed."""

    def __init__(self, shape: StackShape, *, like: Tensor) -> None:
        self.shape, self.table = shape, like
        width, num_skips, num_layers = shape.residual_channels, shape.skip_channels, len(shape.dilations)
        self._gates = like.new_empty(num_layers, 2 * width, 2 * width)
        self._biases = like.new_empty(num_layers, 2 * width, 1)
        self._residuals = like.new_empty(num_layers, width, width)
        self._residual_biases = like.new_empty(num_layers, width, 1)
        self.skips = like.new_empty(num_skips, num_layers * width)
        """(S, L * R), the weights of all layers side by side."""
        self._skip_bias = like.new_empty(num_skips, 1)
        self.units = like.new_empty(num_layers * width, shape.num_columns)
        """(L * R, N). A layer with fewer columns uses the last ones."""
        self.layers = self._make_layers(like)
        self.num_outputs = self.layers[-1].units.shape[1]
        self._skip_sum = like.new_empty(num_skips * self.num_outputs)

    def _make_layers(self, like: Tensor) -> list[Layer]:
        layers: list[Layer] = []
        width, shifts, num_columns = self.shape.residual_channels, self.shape.shifts, self.shape.num_columns
        x = self._make_input(0, num_columns, like)
        for layer, shift in enumerate(shifts):
            num_columns = x.shape[1] - shift
            above = self._make_input(layer + 1, num_columns, like) if layer < len(shifts) - 1 else None
            is_shared = self.shape.is_stream and layer > 0  # no gradient needs those of all layers
            sigmoids = layers[0].sigmoids if is_shared else like.new_empty(2 * width, num_columns)
            filtered, gate = sigmoids.chunk(2)
            older, newer = self._gates[layer].chunk(2, dim=1)
            layers.append(
                Layer(
                    x=x,
                    older_x=x[:, :-shift],
                    newer_x=x[:, shift:],
                    sigmoids=sigmoids,
                    filtered=filtered,
                    gate=gate,
                    units=self.units[layer * width : (layer + 1) * width, -num_columns:],
                    above=None if above is None else above[:, -num_columns:],
                    older=older,
                    newer=newer,
                    bias=self._biases[layer],
                    residual=self._residuals[layer],
                    residual_bias=self._residual_biases[layer],
                )
            )
            x = x if above is None else above
        return layers

    def _make_input(self, layer: int, num_new: int, like: Tensor) -> Tensor:
        return like.new_empty(
            self.shape.residual_channels, num_new + (self.shape.shifts[layer] if self.shape.is_stream else 0)
        )

    def load(self, table: Tensor, blocks: Sequence[BlockWeights]) -> None:
        """Takes the weights. A stream starts again, with zeros before its first sample."""
        width, num_skips = self.shape.residual_channels, self.shape.skip_channels
        self.table = table
        torch.stack([block.gate for block in blocks], out=self._gates)
        torch.stack([block.gate_bias.unsqueeze(-1) for block in blocks], out=self._biases)
        self._gates[:, :width] *= FILTER_SCALE
        self._biases[:, :width] *= FILTER_SCALE
        for layer, block in zip(self.layers[:-1], blocks[:-1], strict=True):
            layer.residual.copy_(block.out[:width])
            layer.residual_bias.copy_(block.out_bias[:width].unsqueeze(-1))
        torch.cat([block.out[-num_skips:] for block in blocks], dim=1, out=self.skips)
        torch.sum(torch.stack([block.out_bias[-num_skips:] for block in blocks], dim=1), 1, True, out=self._skip_bias)
        if self.shape.is_stream:
            for layer in self.layers:
                layer.x.zero_()

    def forward(self, codes: Tensor) -> None:
        """Fills the units from codes (N + B, C) of all channels in one numbering."""
        if self.shape.is_stream:
            self._remember()
        self._front(codes, out=self.layers[0].x[:, -self.shape.num_columns :])
        for layer in self.layers:
            torch.addmm(layer.bias, layer.older, layer.older_x, out=layer.sigmoids)
            layer.sigmoids.addmm_(layer.newer, layer.newer_x).sigmoid_()
            torch.addcmul(layer.gate, layer.filtered, layer.gate, value=FILTER_SCALE, out=layer.units)
            if layer.above is not None:
                torch.addmm(layer.newer_x, layer.residual, layer.units, out=layer.above)
                layer.above.add_(layer.residual_bias)

    def skip_sum(self, columns: slice = slice(None)) -> Tensor:
        """(S, M): the sum of all layers' skips, of all outputs or of some."""
        units = self.units[:, -self.num_outputs :][:, columns]
        out = self._skip_sum[: len(self.skips) * units.shape[1]].view(len(self.skips), -1)
        return torch.addmm(self._skip_bias, self.skips, units, out=out)

    def _remember(self) -> None:
        for layer, shift in zip(self.layers, self.shape.shifts, strict=True):
            layer.x[:, :shift] = layer.x[:, -shift:].clone()  # the two overlap where the shift is long

    def _front(self, codes: Tensor, *, out: Tensor) -> None:
        num_windows, width = self.shape.num_windows, self.shape.residual_channels
        taps = functional.embedding_bag(codes, self.table, mode="sum")
        out.copy_((taps[:-num_windows, :width] + taps[num_windows:, width:]).t())
