"""The arithmetic of the heads equals the plain formulas for slices of any size."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from core.model import likelihood
from core.model.likelihood import LEAST_VARIANCE, mean_bits, sample_scores

NUM_SAMPLES, NUM_CHANNELS, LEVELS, FEATURES = 23, 3, 11, 7
ROWS_A_SLICE = [1, 4, 22, 23, 24, 1000]
"""For 23 samples: slices of one row, slices that leave a rest, and slices around and beyond all rows."""


def inputs(scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    hidden = scale * torch.randn(NUM_SAMPLES, FEATURES, dtype=torch.float64)
    weight = torch.randn(NUM_CHANNELS * LEVELS, FEATURES, dtype=torch.float64)
    bias = torch.randn(NUM_CHANNELS * LEVELS, dtype=torch.float64)
    targets = torch.randint(LEVELS, (NUM_SAMPLES, NUM_CHANNELS))
    return hidden.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), targets


def set_rows(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Sets slices to so many rows; the additional logit must not matter."""
    for constant in (likelihood.LOSS_SLICE_LOGITS, likelihood.SCORE_SLICE_LOGITS):
        monkeypatch.setitem(constant, "cpu", rows * NUM_CHANNELS * LEVELS + 1)


def cross_entropy_bits(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    logits = functional.linear(hidden, weight, bias).view(-1, LEVELS)
    return functional.cross_entropy(logits, targets.flatten()) / math.log(2)


@pytest.mark.parametrize("rows", ROWS_A_SLICE)
def test_mean_bits_is_cross_entropy_in_value_and_gradient(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    set_rows(monkeypatch, rows)
    *tensors, targets = inputs()
    ours, plain = mean_bits(*tensors, targets), cross_entropy_bits(*tensors, targets)
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=0)
    for factor in (1.0, -2.5):  # the loss may be part of a larger one
        gradients = torch.autograd.grad(factor * ours, tensors, retain_graph=True)
        expected = torch.autograd.grad(factor * plain, tensors, retain_graph=True)
        for gradient, reference in zip(gradients, expected, strict=True):
            torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-14)


def test_mean_bits_gradient_is_the_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    set_rows(monkeypatch, 4)
    *tensors, targets = inputs()
    assert torch.autograd.gradcheck(lambda *three: mean_bits(*three, targets), tensors)


def test_a_fixed_head_passes_the_gradient_on() -> None:
    hidden, weight, bias, targets = inputs()
    mean_bits(hidden, weight.detach(), bias.detach(), targets).backward()
    (expected,) = torch.autograd.grad(cross_entropy_bits(hidden, weight, bias, targets), hidden)
    torch.testing.assert_close(hidden.grad, expected)


@pytest.mark.parametrize("rows", ROWS_A_SLICE)
def test_scores_are_those_of_log_softmax(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    set_rows(monkeypatch, rows)
    hidden, weight, bias, targets = inputs()
    surprise, entropy, normalised = sample_scores(hidden, weight, bias, targets)
    log_p = functional.linear(hidden, weight, bias).view(NUM_SAMPLES, NUM_CHANNELS, LEVELS).log_softmax(-1)
    log2_p = log_p.detach() / math.log(2)
    torch.testing.assert_close(surprise, -log2_p.gather(-1, targets[..., None])[..., 0], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(entropy, -(2**log2_p * log2_p).sum(-1), rtol=1e-12, atol=1e-14)
    variance = (2**log2_p * log2_p.square()).sum(-1) - entropy.square()
    torch.testing.assert_close(
        normalised, (surprise - entropy) / (variance + LEAST_VARIANCE).sqrt(), rtol=1e-9, atol=1e-12
    )


def test_normalised_residuals_of_a_right_prediction_have_mean_zero_and_deviation_one() -> None:
    torch.manual_seed(1)
    bias = torch.linspace(-3, 3, 64)  # one prediction of 64 levels, and samples drawn from it
    targets = torch.distributions.Categorical(logits=bias).sample((100_000, 1))
    hidden, weight = torch.zeros(100_000, 1), torch.zeros(64, 1)
    normalised = sample_scores(hidden, weight, bias, targets).normalised_residual
    assert abs(normalised.mean()) < 0.02  # 1 / sqrt(100,000) is 0.003
    assert 0.9 < normalised.std() < 1  # the least variance takes a little away


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
def test_scores_stay_finite_and_within_bounds_in_single_precision(scale: float) -> None:
    hidden, weight, bias, targets = (tensor.detach() for tensor in inputs(scale))
    surprise, entropy, normalised = sample_scores(hidden.float(), weight.float(), bias.float(), targets)
    assert torch.isfinite(normalised).all()
    assert torch.isfinite(surprise).all()
    assert (surprise >= 0).all()
    assert (entropy >= 0).all()
    assert (entropy <= math.log2(LEVELS) + 1e-6).all()


def test_the_mean_of_surprise_is_the_loss() -> None:
    hidden, weight, bias, targets = inputs()
    surprise = sample_scores(hidden, weight, bias, targets).surprise
    assert mean_bits(hidden, weight, bias, targets).item() == pytest.approx(surprise.mean().item(), rel=1e-12)
