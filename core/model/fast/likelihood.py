"""The arithmetic of the softmax heads: loss with gradient, and scores, in slices that fit into the cache.

N samples, C channels, Q levels, E hidden features. Hidden (E, N) float, weight (C * Q, E), bias (C * Q), targets (C, N)
int64. The logits, N * C * Q numbers, need by far the most memory of the network, so they are never held whole. They are
computed in bits, since 2 ** x takes a third of the time of e ** x.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from core.model.fast.workspace import workspace

LOSS_SLICE_LOGITS = {"cpu": 2**18, "cuda": 2**26}
SCORE_SLICE_LOGITS = {"cpu": 2**17, "cuda": 2**26}
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
    distribution. NaN where it was not asked for."""


def _samples_a_slice(num_logits: int, slice_logits: dict[str, int], device: torch.device) -> int:
    return max(1, slice_logits.get(device.type, slice_logits["cpu"]) // num_logits)


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
    num_columns = _samples_a_slice(len(weight), LOSS_SLICE_LOGITS, hidden.device)
    for start in range(0, num_samples, num_columns):
        columns = slice(start, start + num_columns)
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


def sample_scores(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, with_below: bool = True
) -> SampleScores:
    """Scores of each sample and channel, tensors (C, N), at one exponential a logit."""
    sums = _sums(hidden, weight, bias, targets, with_below=with_below)
    partition, target_logit, *of_logits = sums
    mean_logit, mean_square, below = (each / partition for each in of_logits)
    log_partition, variance = partition.log2(), mean_square.addcmul_(mean_logit, mean_logit, value=-1).clamp_(min=0)
    return SampleScores(
        surprise=log_partition - target_logit,
        entropy=log_partition - mean_logit,
        normalised_residual=(mean_logit - target_logit) * (variance + LEAST_VARIANCE).rsqrt(),
        below=below,
    )


class _Sums(NamedTuple):
    """Sums over a channel's levels of w = 2 ** logit, and the logit of the sample's level, each (C, N).

    Logits are relative to the largest. Those of a network can be 170 bits from 0, as adding a constant changes nothing.
    """

    partition: Tensor
    """Of w."""
    target_logit: Tensor
    first_moment: Tensor
    """Of w * logit."""
    second_moment: Tensor
    """Of w * logit * logit."""
    below: Tensor
    """Of w, over all levels below the sample's; NaN where it is not asked for."""


def _sums(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, with_below: bool) -> _Sums:
    """In few calls of PyTorch a slice, since each call takes as long as ten thousand logits."""
    num_channels, levels = len(targets), len(weight) // len(targets)
    num_columns = _samples_a_slice(len(weight), SCORE_SLICE_LOGITS, hidden.device)
    weight_bits, bias_bits = weight * BITS_PER_NAT, (bias * BITS_PER_NAT).unsqueeze(-1)
    all_levels = torch.arange(levels).to(hidden).unsqueeze(-1)
    sums = _Sums(*hidden.new_full((len(_Sums._fields), num_channels, 1, targets.shape[1]), math.nan))
    slices = (torch.split(tensor, num_columns, dim=-1) for tensor in (hidden, targets.unsqueeze(1), *sums))
    for inputs, target, *of_slice in zip(*slices, strict=True):
        shape, part = (num_channels, levels, inputs.shape[1]), _Sums(*of_slice)
        logits, weights = (workspace().take(name, *shape, like=hidden) for name in ("logits", "p"))
        torch.addmm(bias_bits, weight_bits, inputs, out=logits.flatten(0, 1))
        logits -= logits.amax(dim=1, keepdim=True)
        torch.gather(logits, 1, target, out=part.target_logit)
        torch.sum(torch.exp2(logits, out=weights), 1, True, out=part.partition)
        if with_below:
            masks = workspace().take("masks", *shape, like=hidden)
            torch.lt(all_levels, target.to(hidden), out=masks)
            torch.sum(masks.mul_(weights), 1, True, out=part.below)
        torch.sum(weights.mul_(logits), 1, True, out=part.first_moment)
        torch.sum(weights.mul_(logits), 1, True, out=part.second_moment)
    return _Sums(*(each.squeeze(1) for each in sums))
