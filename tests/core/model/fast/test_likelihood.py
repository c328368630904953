"""The arithmetic of the heads equals the plain formulas for slices of any size."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from core.model.fast import likelihood
from core.model.fast.likelihood import LEAST_VARIANCE, SampleScores, bits_with_gradient, sample_scores

NUM_SAMPLES, NUM_CHANNELS, LEVELS, FEATURES = 23, 3, 11, 7
ROWS_A_SLICE = [1, 4, 22, 23, 24, 1000]
"""For 23 samples: slices of one row, slices that leave a rest, and slices around and beyond all rows."""


def inputs(scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    hidden = scale * torch.randn(FEATURES, NUM_SAMPLES, dtype=torch.float64)
    weight = torch.randn(NUM_CHANNELS * LEVELS, FEATURES, dtype=torch.float64)
    bias = torch.randn(NUM_CHANNELS * LEVELS, dtype=torch.float64)
    targets = torch.randint(LEVELS, (NUM_CHANNELS, NUM_SAMPLES))
    return hidden.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), targets


def set_rows(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Sets slices to so many rows; the additional logit must not matter."""
    for constant in (likelihood.LOSS_SLICE_LOGITS, likelihood.SCORE_SLICE_LOGITS):
        monkeypatch.setitem(constant, "cpu", rows * NUM_CHANNELS * LEVELS + 1)


def cross_entropy_bits(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """The sum over samples and channels."""
    logits = functional.linear(hidden.t(), weight, bias).view(-1, LEVELS)
    return functional.cross_entropy(logits, targets.t().flatten(), reduction="sum") / math.log(2)


def our_bits(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, share: float = 1.0
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The sum, and its gradients by the first three arguments."""
    grads = torch.zeros_like(weight), torch.zeros_like(bias)
    with torch.no_grad():
        bits, grad_hidden = bits_with_gradient(hidden, weight, bias, targets, share=share, grads=grads)
    return bits, (grad_hidden, *grads)


@pytest.mark.parametrize("rows", ROWS_A_SLICE)
@pytest.mark.parametrize("share", [1.0, 0.01])
def test_bits_are_cross_entropy_in_value_and_gradient(rows: int, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    set_rows(monkeypatch, rows)
    *tensors, targets = inputs()
    bits, gradients = our_bits(*tensors, targets, share=share)
    plain = share * cross_entropy_bits(*tensors, targets)
    torch.testing.assert_close(bits, plain.detach(), rtol=1e-12, atol=0)
    for gradient, reference in zip(gradients, torch.autograd.grad(plain, tensors), strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-14)


def test_gradients_by_the_weights_are_added_to_those_given() -> None:
    *tensors, targets = inputs()
    weight, bias = tensors[1:]
    grads = torch.ones_like(weight).detach(), torch.ones_like(bias).detach()
    with torch.no_grad():
        bits_with_gradient(*tensors, targets, share=1.0, grads=grads)
    for sum_of_both, gradient in zip(grads, our_bits(*tensors, targets)[1][1:], strict=True):
        torch.testing.assert_close(sum_of_both, gradient + 1)


@torch.no_grad()
def scores_of(*tensors: Tensor, with_below: bool = True) -> SampleScores:
    return sample_scores(*tensors, with_below=with_below)


@torch.no_grad()
def plain_log2_p(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(C, N, Q)."""
    logits = functional.linear(hidden.t(), weight, bias).unflatten(-1, (NUM_CHANNELS, LEVELS))
    return logits.transpose(0, 1).log_softmax(-1) / math.log(2)


@pytest.mark.parametrize("rows", ROWS_A_SLICE)
def test_scores_are_those_of_log_softmax(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    set_rows(monkeypatch, rows)
    hidden, weight, bias, targets = inputs()
    surprise, entropy, normalised, below = scores_of(hidden, weight, bias, targets)
    log2_p = plain_log2_p(hidden, weight, bias)
    torch.testing.assert_close(surprise, -log2_p.gather(-1, targets[..., None])[..., 0], rtol=1e-12, atol=1e-14)
    shares_below = (2**log2_p).cumsum(-1) - 2**log2_p
    torch.testing.assert_close(below, shares_below.gather(-1, targets[..., None])[..., 0], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(entropy, -(2**log2_p * log2_p).sum(-1), rtol=1e-12, atol=1e-14)
    variance = (2**log2_p * log2_p.square()).sum(-1) - entropy.square()
    torch.testing.assert_close(
        normalised, (surprise - entropy) / (variance + LEAST_VARIANCE).sqrt(), rtol=1e-9, atol=1e-12
    )


def test_without_below_all_else_is_the_same() -> None:
    *others, below = scores_of(*inputs(), with_below=False)
    assert below.isnan().all()
    for ours, expected in zip(others, scores_of(*inputs()), strict=False):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("offset", [-200.0, -30.0, 30.0, 200.0])
def test_a_constant_added_to_all_logits_changes_no_score(offset: float) -> None:
    hidden, weight, bias, targets = inputs()
    expected = scores_of(hidden, weight, bias, targets)
    scores = scores_of(hidden.float(), weight.float(), bias.float() + offset, targets)
    torch.testing.assert_close(tuple(scores), tuple(expected), rtol=1e-4, atol=1e-4, check_dtype=False)


def test_normalised_residuals_of_a_right_prediction_have_mean_zero_and_deviation_one() -> None:
    torch.manual_seed(1)
    bias = torch.linspace(-3, 3, 64)  # one prediction of 64 levels, and samples drawn from it
    targets = torch.distributions.Categorical(logits=bias).sample((1, 100_000))
    hidden, weight = torch.zeros(1, 100_000), torch.zeros(64, 1)
    normalised = scores_of(hidden, weight, bias, targets).normalised_residual
    assert abs(normalised.mean()) < 0.02  # 1 / sqrt(100,000) is 0.003
    assert 0.9 < normalised.std() < 1  # the least variance takes a little away


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
def test_scores_stay_finite_and_within_bounds_in_single_precision(scale: float) -> None:
    hidden, weight, bias, targets = (tensor.detach() for tensor in inputs(scale))
    surprise, entropy, normalised, below = scores_of(hidden.float(), weight.float(), bias.float(), targets)
    assert torch.isfinite(normalised).all()
    assert torch.isfinite(surprise).all()
    assert (surprise >= 0).all()
    assert (entropy >= 0).all()
    assert (entropy <= math.log2(LEVELS) + 1e-6).all()
    assert (below >= 0).all()
    assert (below + 2**-surprise <= 1 + 1e-6).all()


def test_the_sum_of_surprise_is_the_loss() -> None:
    *tensors, targets = inputs()
    surprise = scores_of(*tensors, targets).surprise
    assert our_bits(*tensors, targets)[0].item() == pytest.approx(surprise.sum().item(), rel=1e-12)


def test_nothing_is_below_the_lowest_level_and_all_else_is_below_the_highest() -> None:
    hidden, weight, bias, targets = inputs()
    lowest = scores_of(hidden, weight, bias, torch.zeros_like(targets))
    highest = scores_of(hidden, weight, bias, torch.full_like(targets, LEVELS - 1))
    assert (lowest.below == 0).all()
    torch.testing.assert_close(highest.below + 2**-highest.surprise, torch.ones_like(highest.below))
