"""The fast path equals the textbook network in single precision, and plain autograd in double precision."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.textbook import TextbookWaveNet
from core.model.fast import network
from core.model.wavenet import WaveNet
from tests.small_wavenet import random_codes, small_wavenet

SHAPES = [
    {},
    {"num_channels": 1},
    {"receptive_field_samples": 3},  # a single layer
    {"residual_channels": 1, "skip_channels": 1},
    {"dilation_depth": 6, "receptive_field_samples": 100, "num_channels": 4},
]


def plain_loss(model: WaveNet, codes: Tensor) -> Tensor:
    """By the network as it is written in wavenet.py."""
    logits = model(codes[..., :-1]).permute(0, 3, 2, 1)
    return functional.cross_entropy(logits, codes[..., model.config.receptive_field_samples :].long()) / math.log(2)


@pytest.mark.parametrize("num_channels", [1, 4])
@pytest.mark.parametrize("width", [16, 32, 64])
def test_losses_gradients_and_scores_are_the_textbooks(num_channels: int, width: int) -> None:
    model = small_wavenet(
        num_channels=num_channels,
        mu_law_levels=256,
        dilation_depth=5,
        receptive_field_samples=64,
        residual_channels=width,
        skip_channels=2 * width,
    )
    # In double precision, since the textbook's own variance of surprise loses digits in single precision.
    textbook, codes = TextbookWaveNet(model, one_hot=False).double(), random_codes(model, 64 + 200, num_clips=2)
    close: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4, "check_dtype": False}
    loss, reference = model.loss_bits(codes), textbook.loss_bits(codes, 64)
    torch.testing.assert_close(loss, reference, **close)
    ours = dict(zip(dict(model.named_parameters()), torch.autograd.grad(loss, list(model.parameters())), strict=True))
    reference.backward()
    for layer, (gate, out) in enumerate(zip(textbook.gates, textbook.outs, strict=True)):
        taps = torch.stack(ours[f"blocks.{layer}.gate.weight"].chunk(2, dim=1), dim=-1)
        torch.testing.assert_close(taps, gate.weight.grad, **close)
        torch.testing.assert_close(ours[f"blocks.{layer}.out.weight"], out.weight.grad.squeeze(-1), **close)
        torch.testing.assert_close(ours[f"blocks.{layer}.gate.bias"], gate.bias.grad, **close)
        torch.testing.assert_close(ours[f"blocks.{layer}.out.bias"], out.bias.grad, **close)
    torch.testing.assert_close(ours["embedding.weight"], textbook.embedding.weight.grad, **close)
    for name, convolution in (("hidden", textbook.hidden), ("heads", textbook.heads)):
        torch.testing.assert_close(ours[f"{name}.weight"], convolution.weight.grad.squeeze(-1), **close)
        torch.testing.assert_close(ours[f"{name}.bias"], convolution.bias.grad, **close)
    scores, references = model.sample_scores(codes), textbook.sample_scores(codes, 64)
    for kind, values in scores._asdict().items():
        torch.testing.assert_close(values, getattr(references, kind), **close)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("group_values", [1, 2**30])
def test_the_gradient_is_that_of_plain_autograd(
    shape: dict[str, int], group_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(network.GROUP_VALUES, "cpu", group_values)
    model = small_wavenet(**shape).double()
    codes, weights = (
        random_codes(model, model.config.receptive_field_samples + 30, num_clips=3),
        list(model.parameters()),
    )
    loss, plain = model.loss_bits(codes), plain_loss(model, codes)
    torch.testing.assert_close(loss, plain, rtol=1e-12, atol=0)
    for factor in (1.0, -2.5):  # the loss may be part of a larger one
        gradients = torch.autograd.grad(factor * loss, weights, retain_graph=True)
        expected = torch.autograd.grad(factor * plain, weights, retain_graph=True)
        torch.testing.assert_close(gradients, expected, rtol=1e-9, atol=1e-13)


def test_the_gradient_is_the_slope() -> None:
    model = small_wavenet(mu_law_levels=4, residual_channels=2, skip_channels=3, receptive_field_samples=6).double()
    codes, step = random_codes(model, 20, num_clips=3), 1e-6
    gradient = torch.cat([part.flatten() for part in torch.autograd.grad(model.loss_bits(codes), model.parameters())])
    slopes = []
    for weight in model.parameters():
        for place in range(weight.numel()):
            losses = []
            for change in (step, -2 * step, step):
                weight.data.view(-1)[place] += change
                losses.append(model.loss_bits(codes).item())
            slopes.append((losses[0] - losses[1]) / (2 * step))
    torch.testing.assert_close(gradient, torch.tensor(slopes, dtype=torch.float64), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("block_values", [1, 7, 100, 1000, 2**30])
def test_scores_do_not_depend_on_the_size_of_a_block(
    shape: dict[str, int], block_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_wavenet(**shape).double()
    field = model.config.receptive_field_samples
    codes = random_codes(model, field + 41, num_clips=3)
    monkeypatch.setattr(network, "STEPS_A_BLOCK", 1)
    monkeypatch.setattr(network, "LEAST_BLOCK_COLUMNS", 1)
    monkeypatch.setitem(network.BLOCK_VALUES, "cpu", block_values * model.config.residual_channels)
    scores = model.sample_scores(codes)
    log2_p = model(codes[..., :-1]).detach().log_softmax(dim=-1) / math.log(2)
    surprise = -log2_p.gather(-1, codes[..., field:].transpose(1, 2)[..., None].long()).squeeze(-1).transpose(1, 2)
    torch.testing.assert_close(scores.surprise, surprise, rtol=1e-10, atol=1e-12)


def step_bits(model: WaveNet, codes: Tensor) -> list[Tensor]:
    loss, gradient = model.fast().loss_and_gradient(codes)
    return [loss, gradient, *model.sample_scores(codes)]


def test_bits_do_not_depend_on_what_the_memory_held_before() -> None:
    model, other = small_wavenet(), small_wavenet(num_channels=3, residual_channels=9)
    codes = random_codes(model, 50, num_clips=3)
    first = step_bits(model, codes)
    step_bits(model, random_codes(model, 90, num_clips=3))
    step_bits(other, random_codes(other, 70, num_clips=3))
    for again, expected in zip(step_bits(model, codes), first, strict=True):
        assert torch.equal(again, expected)


def test_threads_do_not_share_memory() -> None:
    models = [small_wavenet(residual_channels=width) for width in (4, 5, 6, 6)]
    codes = [random_codes(model, 200, num_clips=number + 1) for number, model in enumerate(models)]
    alone = [step_bits(*pair) for pair in zip(models, codes, strict=True)]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            for together, expected in zip(threads.map(step_bits, models, codes), alone, strict=True):
                for ours, theirs in zip(together, expected, strict=True):
                    assert torch.equal(ours, theirs)


def test_scores_can_be_taken_in_inference_mode_and_out_of_it() -> None:
    model = small_wavenet()
    codes = random_codes(model, 50, num_clips=3)
    with torch.inference_mode():
        inside = model.sample_scores(codes).surprise.clone()
    assert torch.equal(inside, model.sample_scores(codes).surprise)
