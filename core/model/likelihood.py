"""The arithmetic of the softmax heads: loss with gradient, and scores, in slices that fit into the cache.

N samples, C channels, Q levels, E hidden features. Hidden (N, E) float, weight (C * Q, E), bias (C * Q), targets (N, C)
int64. The logits, N * C * Q numbers, need by far the most memory of the network, so they are never held whole.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

LOSS_SLICE_LOGITS = {"cpu": 2**19, "cuda": 2**26}
SCORE_SLICE_LOGITS = {"cpu": 2**17, "cuda": 2**26}
"""Logits a slice, by kind of device: the fastest power of two on a CPU with 1 MiB of second-level cache."""

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
    """The predicted probability of all levels below the one that came, 0 to 1."""


def _slices(num_samples: int, num_logits: int, slice_logits: dict[str, int], device: torch.device) -> Iterator[slice]:
    rows = max(1, slice_logits.get(device.type, slice_logits["cpu"]) // num_logits)
    return (slice(start, start + rows) for start in range(0, num_samples, rows))


class _MeanBits(torch.autograd.Function):
    """Mean of -log2 p(target). The forward pass computes the gradient slice by slice and keeps it."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        num_channels = targets.shape[1]
        grad_hidden = torch.empty_like(hidden)
        grad_weight, grad_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        total = hidden.new_zeros(())
        for rows in _slices(len(hidden), len(weight), LOSS_SLICE_LOGITS, hidden.device):
            logits = functional.linear(hidden[rows], weight, bias).view(-1, num_channels, len(weight) // num_channels)
            log_p = torch.log_softmax(logits, dim=-1)
            target = targets[rows].unsqueeze(-1)
            total -= log_p.gather(-1, target).sum()
            grad = log_p.exp_()  # softmax minus one-hot: the gradient of cross-entropy with respect to the logits
            grad.scatter_add_(-1, target, grad.new_full(target.shape, -1.0))
            flat = grad.view(-1, len(weight))
            grad_hidden[rows] = flat @ weight
            grad_weight.addmm_(flat.t(), hidden[rows])
            grad_bias += flat.sum(0)
        scale = BITS_PER_NAT / targets.numel()
        ctx.save_for_backward(grad_hidden * scale, grad_weight * scale, grad_bias * scale)
        return total * scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        grad_hidden, grad_weight, grad_bias = ctx.saved_tensors
        return grads[0] * grad_hidden, grads[0] * grad_weight, grads[0] * grad_bias, None


def mean_bits(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Mean surprise over samples and channels in bits. Differentiable once, by the first three arguments."""
    loss: Tensor = _MeanBits.apply(hidden, weight, bias, targets)  # type: ignore[no-untyped-call]
    return loss


@torch.inference_mode()
def sample_scores(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> SampleScores:
    """Scores of each sample and channel, tensors (N, C), at one exponential a logit."""
    num_channels = targets.shape[1]
    levels = torch.arange(len(weight) // num_channels, device=hidden.device)
    scores = SampleScores(*(hidden.new_empty(targets.shape) for _ in SampleScores._fields))
    for rows in _slices(len(hidden), len(weight), SCORE_SLICE_LOGITS, hidden.device):
        logits = functional.linear(hidden[rows], weight, bias).view(-1, num_channels, len(weight) // num_channels)
        logits -= logits.amax(dim=-1, keepdim=True)
        target_logits = logits.gather(-1, targets[rows].unsqueeze(-1)).squeeze(-1)
        weights = logits.exp()
        partition = weights.sum(dim=-1)
        scores.below[rows] = (weights * (levels < targets[rows].unsqueeze(-1))).sum(dim=-1) / partition
        mean_logit = weights.mul_(logits).sum(dim=-1) / partition
        mean_square = weights.mul_(logits).sum(dim=-1) / partition
        log_partition = partition.log()
        residual = (mean_logit - target_logits) * BITS_PER_NAT
        variance = (mean_square - mean_logit.square()).clamp_(min=0) * BITS_PER_NAT**2
        scores.surprise[rows] = (log_partition - target_logits) * BITS_PER_NAT
        scores.entropy[rows] = (log_partition - mean_logit) * BITS_PER_NAT
        scores.normalised_residual[rows] = residual * (variance + LEAST_VARIANCE).rsqrt()
    return scores
