"""The loss of `WaveNet` with its gradient, and its scores, for speed.

    codes (B, C, T) -> columns (T * B, C) -> Stack -> skips (S, M) -> hidden (S, M) -> likelihood, slice by slice

Equal to `WaveNet.forward` with a plain softmax, except for rounding. The windows of a batch are taken in groups and the
samples of clips in blocks, which bounds the memory whatever the length.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from core.model.fast.gradient import StackGradient, finish_gradients
from core.model.fast.likelihood import SampleScores, bits_with_gradient, sample_scores
from core.model.fast.precision import products_in
from core.model.fast.stack import BlockWeights, Stack, StackShape
from core.model.fast.workspace import workspace
from core.model.wavenet_config import Precision

AnyStack = TypeVar("AnyStack", Stack, StackGradient)

GROUP_VALUES = {"cpu": 2**16, "cuda": 2**26}
BLOCK_VALUES = {"cpu": 2**16, "cuda": 2**26}
"""Values of the residual path in a group of windows that is trained on, and in a block of samples that is scored."""
LEAST_BLOCK_COLUMNS = 2048
"""Samples of all clips that a block holds at least: products of fewer are slower, by a twentieth with 64 channels."""

STEPS_A_BLOCK = 16
"""Blocks are of multiples of this length, so that clips of similar lengths share memory."""


@dataclass(frozen=True)
class NetworkWeights:
    """The tensors of a `WaveNet`, or their gradients."""

    table: Tensor
    """(C * Q, 2 R)."""
    blocks: list[BlockWeights]
    hidden: Tensor
    hidden_bias: Tensor
    heads: Tensor
    """(C * Q, S)."""
    heads_bias: Tensor

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> "NetworkWeights":
        """From tensors in the order of `WaveNet.parameters()`."""
        table, *of_blocks = tensors[:-4]
        blocks = [BlockWeights(*of_blocks[first : first + 4]) for first in range(0, len(of_blocks), 4)]
        return cls(table, blocks, *tensors[-4:])


class FastNetwork:
    """The function with the weights of this moment."""

    def __init__(
        self, weights: Sequence[Tensor], *, num_channels: int, dilations: tuple[int, ...], precision: Precision
    ) -> None:
        self._precision = precision
        self._tensors = [weight.detach() for weight in weights]
        self._weights = NetworkWeights.of(self._tensors)
        self._num_channels, self._levels = num_channels, len(self._weights.heads_bias) // num_channels
        self._shape = StackShape(
            residual_channels=self._weights.table.shape[1] // 2,
            skip_channels=len(self._weights.hidden),
            dilations=dilations,
            num_windows=1,
            num_columns=0,
        )
        self._context = sum(dilations) + 2  # samples before the first that is predicted

    @torch.no_grad()
    def loss_and_gradient(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Mean bits a sample of (B, C, T) codes, and its gradient by all weights in one row."""
        with products_in(self._precision):
            return self._loss_and_gradient(codes)

    def _loss_and_gradient(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        gradient = self._weights.table.new_zeros(sum(weight.numel() for weight in self._tensors))
        grads = NetworkWeights.of(self.split(gradient))
        num_windows, _, num_samples = codes.shape
        share = 1 / (num_windows * self._num_channels * (num_samples - self._context))
        group = max(1, self._limit(GROUP_VALUES) // (self._shape.residual_channels * num_samples))
        groups = torch.split(codes, group)
        sizes = {len(windows) for windows in groups}
        stacks = {size: self._kept(StackGradient, size, size * (num_samples - 2)) for size in sizes}
        losses = [self._add_gradient(windows, share, stacks[len(windows)], grads) for windows in groups]
        finish_gradients(grads.blocks)
        return torch.stack(losses).sum(), gradient

    def split(self, row: Tensor) -> list[Tensor]:
        """The parts of a row of all weights, in their shapes."""
        parts = torch.split(row, [weight.numel() for weight in self._tensors])
        return [part.view_as(weight) for part, weight in zip(parts, self._tensors, strict=True)]

    def _add_gradient(self, codes: Tensor, share: float, backward: StackGradient, grads: NetworkWeights) -> Tensor:
        """Adds the gradient of `share` times the sum of bits to `grads`. Returns `share` times the sum."""
        weights = self._weights
        inputs, targets = self._inputs_and_targets(codes)
        backward.stack.forward(inputs)
        skips, hidden = self._hidden(backward.stack.skip_sum())
        loss, grad_hidden = bits_with_gradient(
            hidden, weights.heads, weights.heads_bias, targets, share=share, grads=(grads.heads, grads.heads_bias)
        )
        _relu_gradient(grad_hidden, hidden)
        grads.hidden.addmm_(grad_hidden, skips.t())
        grads.hidden_bias.add_(grad_hidden.sum(dim=1))
        grad_skips = workspace().take("grad skips", *skips.shape, like=skips)
        torch.mm(weights.hidden.t(), grad_hidden, out=grad_skips)
        _relu_gradient(grad_skips, skips)
        backward.add(inputs, grad_skips, grads.table, grads.blocks)
        return loss

    @torch.no_grad()
    def sample_scores(self, codes: Tensor, *, with_below: bool = True) -> SampleScores:
        """(B, C, T) codes to (B, C, T - context) tensors, a block of samples at a time."""
        with products_in(self._precision):
            return self._sample_scores(codes, with_below=with_below)

    def _sample_scores(self, codes: Tensor, *, with_below: bool) -> SampleScores:
        num_windows, (inputs, targets) = len(codes), self._inputs_and_targets(codes)
        num_steps, first = len(inputs) // num_windows, self._context - 1
        columns = max(LEAST_BLOCK_COLUMNS, self._limit(BLOCK_VALUES) // self._shape.residual_channels)
        limit = max(1, columns // num_windows)
        steps = _in_steps_of(STEPS_A_BLOCK, num_steps / math.ceil(num_steps / limit))
        num_blocks = math.ceil(num_steps / steps)
        inputs = functional.pad(inputs, (0, 0, num_windows, (num_blocks * steps - num_steps) * num_windows))
        stack = self._kept(Stack, num_windows, steps * num_windows, is_stream=True)
        scores = []
        for start in range(0, num_steps, steps):
            stack.forward(inputs[start * num_windows : (start + steps + 1) * num_windows])
            begin, end = max(first, start), min(num_steps, start + steps)
            if begin >= end:
                continue
            hidden = self._hidden(stack.skip_sum(slice((begin - start) * num_windows, (end - start) * num_windows)))[1]
            part = targets[:, (begin - first) * num_windows : (end - first) * num_windows]
            heads = self._weights.heads, self._weights.heads_bias
            scores.append(sample_scores(hidden, *heads, part, with_below=with_below))
        rows = (torch.cat(kind, dim=1).view(self._num_channels, -1, num_windows) for kind in zip(*scores, strict=True))
        return SampleScores(*(row.permute(2, 0, 1) for row in rows))

    def _inputs_and_targets(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, T) codes to ((T - 1) * B, C) codes of all channels in one numbering, and to (C, (T - context) * B)."""
        columns = codes.permute(2, 0, 1).flatten(0, 1).long()
        offsets = torch.arange(self._num_channels, device=codes.device) * self._levels
        return columns[: -len(codes)] + offsets, columns[self._context * len(codes) :].t().contiguous()

    def _kept(self, kind: type[AnyStack], num_windows: int, num_columns: int, *, is_stream: bool = False) -> AnyStack:
        """The thread's object of this shape, with the weights loaded."""
        shape = replace(self._shape, num_windows=num_windows, num_columns=num_columns, is_stream=is_stream)
        table = self._weights.table
        stack = workspace().keep(partial(kind, shape, like=table), name=(kind, shape), like=table)
        stack.load(table, self._weights.blocks)
        return stack

    def _hidden(self, skips: Tensor) -> tuple[Tensor, Tensor]:
        """The skips after their activation, which is done in place, and the hidden layer."""
        skips = skips.relu_()
        out = workspace().take("hidden", *skips.shape, like=skips)
        torch.addmm(self._weights.hidden_bias.unsqueeze(-1), self._weights.hidden, skips, out=out)
        return skips, out.relu_()

    def _limit(self, values: dict[str, int]) -> int:
        return values.get(self._weights.table.device.type, values["cpu"])


def _in_steps_of(step: int, number: float) -> int:
    """The next multiple."""
    return math.ceil(number / step) * step


def _relu_gradient(grad: Tensor, output: Tensor) -> None:
    """In place."""
    torch.ops.aten.threshold_backward.grad_input(grad, output, 0, grad_input=grad)


class LossBits(torch.autograd.Function):
    """The loss as a function of the weights, for callers that differentiate it by autograd, once."""

    @staticmethod
    def forward(ctx: Any, network: FastNetwork, codes: Tensor, *_weights: Tensor) -> Tensor:
        loss, gradient = network.loss_and_gradient(codes)
        ctx.network = network
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return None, None, *ctx.network.split(grads[0] * gradient)
