"""The arithmetic of the softmax heads: loss with gradient, and scores, in slices that fit into the cache.

N samples, C channels, Q levels, E hidden features. Hidden (E, N) float, weight (C * Q, E), bias (C * Q), targets (C, N)
int64. The logits, N * C * Q numbers, need by far the most memory of the network, so they are never held whole. They are
computed in bits, since 2 ** x takes a third of the time of e ** x.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from core.model.fast.workspace import workspace

LOSS_SLICE_LOGITS = {"cpu": 2**18, "cuda": 2**26}
SCORE_SLICE_LOGITS = {"cpu": 2**18, "cuda": 2**26}
"""Logits a slice, by kind of device: on a CPU, few enough for the cache and enough to hide the cost of a call."""

BITS_PER_NAT = 1 / math.log(2)
LEAST_VARIANCE = 0.1
"""Bits squared, added to the variance of surprise that a prediction expects. Without it a prediction with nearly all
probability on one level would score any other level as infinite. A Gaussian of any width has a variance of 1.04."""


class SampleScores(NamedTuple):
    """Scores of each sample, in tensors of one shape."""

    surprise: Tensor
    """-log2 p(x), bits."""
    entropy: Tensor
    """The expected surprise, -sum p log2 p, bits."""
    normalised_residual: Tensor
    """(surprise - entropy) / sqrt(variance + LEAST_VARIANCE), with the expected variance of surprise: how far the
    surprise is from its expectation, in standard deviations. Its mean is 0 where the network is right."""
    below: Tensor
    """The probability of all levels below x, from 0 to 1. With p(x) = 2 ** -surprise it places x in the predicted
    distribution."""


def _slices(num_samples: int, num_logits: int, slice_logits: dict[str, int], device: torch.device) -> Iterator[slice]:
    rows = max(1, slice_logits.get(device.type, slice_logits["cpu"]) // num_logits)
    return (slice(start, min(start + rows, num_samples)) for start in range(0, num_samples, rows))


def bits_with_gradient(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, share: float, grads: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """`share` times the sum of all samples' surprise in bits, and its gradient by hidden.

    Adds the gradients by weight and bias to `grads`. Logits are (C, Q, n), a sample a column.
    """
    (num_channels, num_samples), (grad_weight, grad_bias) = targets.shape, grads
    weight_bits, bias_bits, scale = weight * BITS_PER_NAT, (bias * BITS_PER_NAT).unsqueeze(-1), share * BITS_PER_NAT
    grad_hidden = workspace().take("grad hidden", *hidden.shape, like=hidden)
    total = hidden.new_zeros(())
    for columns in _slices(num_samples, len(weight), LOSS_SLICE_LOGITS, hidden.device):
        inputs, target = hidden[:, columns], targets[:, None, columns]
        flat = workspace().take("logits", len(weight), inputs.shape[1], like=hidden)
        logits = torch.addmm(bias_bits, weight_bits, inputs, out=flat).view(num_channels, -1, inputs.shape[1])
        logits -= logits.amax(dim=1, keepdim=True)
        target_logits = logits.gather(1, target)
        grad = logits.exp2_()
        partition = grad.sum(dim=1, keepdim=True)
        total += (partition.log2() - target_logits).sum()
        grad *= scale / partition  # softmax minus one-hot: the gradient of cross-entropy with respect to the logits
        grad.scatter_add_(1, target, grad.new_full(target.shape, -scale))
        torch.mm(weight.t(), flat, out=grad_hidden[:, columns])
        grad_weight.addmm_(flat, inputs.t())
        grad_bias += flat.sum(dim=1)
    return total * share, grad_hidden


def sample_scores(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> SampleScores:
    """Scores of each sample and channel, tensors (C, N), at one exponential a logit. Logits are (n, C, Q)."""
    num_channels, num_samples = targets.shape
    levels = len(weight) // num_channels
    weight_bits, bias_bits = (weight * BITS_PER_NAT).t(), bias * BITS_PER_NAT
    is_below = hidden.new_ones(levels, levels).tril(-1)  # row: the target's level
    scores = SampleScores(*(hidden.new_empty(targets.shape) for _ in SampleScores._fields))
    for columns in _slices(num_samples, len(weight), SCORE_SLICE_LOGITS, hidden.device):
        inputs, target = hidden[:, columns].t(), targets[:, columns].t()
        shape = (len(inputs), num_channels, levels)
        logits, weights, masks = (workspace().take(name, *shape, like=hidden) for name in ("logits", "p", "masks"))
        torch.addmm(bias_bits, inputs, weight_bits, out=logits.flatten(1))
        logits -= logits.amax(dim=-1, keepdim=True)
        target_logits = logits.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        torch.exp2(logits, out=weights)
        partition = weights.sum(dim=-1)
        torch.index_select(is_below, 0, target.flatten(), out=masks.flatten(0, 1))
        below = masks.mul_(weights).sum(dim=-1) / partition
        mean_logit = weights.mul_(logits).sum(dim=-1) / partition
        mean_square = weights.mul_(logits).sum(dim=-1) / partition
        log_partition = partition.log2()
        variance = (mean_square - mean_logit.square()).clamp_(min=0)
        scores.surprise[:, columns] = (log_partition - target_logits).t()
        scores.entropy[:, columns] = (log_partition - mean_logit).t()
        residual = mean_logit - target_logits
        scores.normalised_residual[:, columns] = (residual * (variance + LEAST_VARIANCE).rsqrt()).t()
        scores.below[:, columns] = below.t()
    return scores
