"""The gradient of the stack, written by hand.

It walks the layers from the last to the first. The gradient of the residual path is one matrix (R, N), to which every
layer adds in place; that of the skip path is one product for all layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.model.fast.stack import FILTER_SCALE, BlockWeights, Layer, Stack, StackShape

FILTER_SLOPE = 4.0
"""The derivative of tanh(f) by f is 4 s (1 - s) with s = sigmoid(-2 f)."""


@dataclass(frozen=True, kw_only=True)
class _LayerGradient:
    """Views of the matrices that one layer's gradient passes through."""

    above: Tensor | None
    """(R, n): by the layer's output."""
    older_x: Tensor
    newer_x: Tensor
    units: Tensor
    """(R, n)."""
    last_units: Tensor
    """(R, M): of those that have skips."""
    skips: Tensor
    """(R, S): the layer's skip weights, transposed."""
    before: Tensor
    """(2 R, n): before the sigmoids, by f without its slope of 4, and by g."""
    before_filter: Tensor
    before_gate: Tensor
    older: Tensor
    """(R, 2 R): the layer's weights, transposed, the filter's with its slope."""
    newer: Tensor


class StackGradient:
    """A stack, and the matrices for the gradient of its passes."""

    def __init__(self, shape: StackShape, *, like: Tensor) -> None:
        self.stack = stack = Stack(shape, like=like)
        width, num_layers = shape.residual_channels, len(stack.layers)
        assert not shape.is_stream, "a stream has no gradient"
        slopes = like.new_tensor([FILTER_SLOPE / FILTER_SCALE, 1.0])
        self._slopes = slopes.repeat_interleave(width).unsqueeze(-1)
        self._older, self._newer = like.new_empty(2, num_layers, 2 * width, width)
        self._grad_x = like.new_empty(width, shape.num_columns)
        units, before = like.new_empty(width * shape.num_columns), like.new_empty(2 * width * shape.num_columns)
        self._layers = [self._layer(number, layer, units, before) for number, layer in enumerate(stack.layers)]
        self._grad_taps = like.new_zeros(shape.num_columns + shape.num_windows, 2 * width)

    def _layer(self, number: int, layer: Layer, units: Tensor, before: Tensor) -> _LayerGradient:
        width, num_columns = layer.units.shape
        shift = layer.x.shape[1] - num_columns
        units = units[: width * num_columns].view(width, num_columns)
        before = before[: 2 * width * num_columns].view(2 * width, num_columns)
        first = self._grad_x.shape[1] - num_columns
        of_filter, of_gate = before.chunk(2)
        return _LayerGradient(
            above=None if layer.above is None else self._grad_x[:, first:],
            older_x=self._grad_x[:, first - shift : -shift],
            newer_x=self._grad_x[:, first:],
            units=units,
            last_units=units[:, -self.stack.num_outputs :],
            skips=self.stack.skips[:, number * width : (number + 1) * width].t(),
            before=before,
            before_filter=of_filter,
            before_gate=of_gate,
            older=self._older[number].t(),
            newer=self._newer[number].t(),
        )

    def load(self, table: Tensor, blocks: Sequence[BlockWeights]) -> None:
        """Takes the weights, before the first pass and after they have changed."""
        self.stack.load(table, blocks)
        for number, layer in enumerate(self.stack.layers):
            torch.mul(layer.older, self._slopes, out=self._older[number])
            torch.mul(layer.newer, self._slopes, out=self._newer[number])

    def add(self, codes: Tensor, grad_skips: Tensor, grad_table: Tensor, grads: Sequence[BlockWeights]) -> None:
        """Adds to the gradients by the table and the blocks' weights, for grad_skips (S, M) of the stack's last pass.

        The filters' rows of the gates lack their slope (`finish_gradients`).
        """
        stack, num_skips, width = self.stack, len(grad_skips), self.stack.shape.residual_channels
        of_skip_weights = torch.split(grad_skips @ stack.units[:, -stack.num_outputs :].t(), width, dim=1)
        of_skip_bias = grad_skips.sum(dim=1)
        self._grad_x.zero_()
        for layer, at, grad, of_skip_weight in zip(
            reversed(stack.layers), reversed(self._layers), reversed(grads), reversed(of_skip_weights), strict=True
        ):
            grad.out[-num_skips:] += of_skip_weight
            grad.out_bias[-num_skips:] += of_skip_bias
            if at.above is None:
                torch.mm(at.skips, grad_skips, out=at.units)
            else:
                grad.out[:width].addmm_(at.above, layer.units.t())
                grad.out_bias[:width] += at.above.sum(dim=1)
                torch.mm(layer.residual.t(), at.above, out=at.units)
                at.last_units.addmm_(at.skips, grad_skips)
            torch.mul(at.units, layer.gate, out=at.before_filter)
            torch.ops.aten.sigmoid_backward.grad_input(at.before_filter, layer.filtered, grad_input=at.before_filter)
            torch.mul(at.units, layer.units, out=at.before_gate)
            at.before_gate.addcmul_(at.before_gate, layer.gate, value=-1)
            grad.gate[:, :width].addmm_(at.before, layer.older_x.t())
            grad.gate[:, width:].addmm_(at.before, layer.newer_x.t())
            grad.gate_bias.add_(at.before.sum(dim=1))
            at.older_x.addmm_(at.older, at.before)
            at.newer_x.addmm_(at.newer, at.before)
        self._add_front(codes, grad_table)

    def _add_front(self, codes: Tensor, grad_table: Tensor) -> None:
        num_windows, width = self.stack.shape.num_windows, self.stack.shape.residual_channels
        self._grad_taps[:-num_windows, :width] = self._grad_x.t()
        self._grad_taps[num_windows:, width:] = self._grad_x.t()
        for channel in codes.unbind(dim=1):
            grad_table.index_add_(0, channel, self._grad_taps)


def finish_gradients(grads: Sequence[BlockWeights]) -> None:
    """Multiplies the filters' rows by the slope that `StackGradient.add` leaves out."""
    width = len(grads[0].gate) // 2
    torch._foreach_mul_([tensor[:width] for grad in grads for tensor in (grad.gate, grad.gate_bias)], FILTER_SLOPE)
