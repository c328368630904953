"""The network is causal, has exactly the configured receptive field, and equals a plain implementation."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from core.errors import UserError
from core.model.wavenet import WaveNet
from core.model.wavenet_config import (
    WaveNetConfig,
    count_weights,
    describe,
    dilations_for,
    num_layers_of,
    receptive_field_of,
    weight_shapes,
)
from tests.small_wavenet import random_codes, small_wavenet

SHAPES = [(depth, field) for depth in (1, 2, 3, 5, 8, 16) for field in (3, 4, 5, 9, 32, 33, 64, 130)]


def build(**shape: Any) -> WaveNet:
    """A small network in double precision, so that small influences do not round to zero."""
    return small_wavenet(**shape).double().eval()


@torch.inference_mode()
def reach(model: WaveNet, num_samples: int) -> Tensor:
    """Bool (C_in, T, T + 1, C_head): whether changing a channel's sample t changes a head's prediction of sample p.

    Predictions of samples without full context do not exist and count as unchanged.
    """
    num_channels, levels = model.config.num_channels, model.config.mu_law_levels
    codes = random_codes(model, num_samples)
    changed = codes.repeat(num_channels * num_samples, 1, 1)
    for channel in range(num_channels):
        for sample in range(num_samples):
            changed[channel * num_samples + sample, channel, sample] = (codes[0, channel, sample] + 1) % levels
    moved = (model(changed) - model(codes)).abs().amax(dim=-1) > 1e-12
    everything = torch.zeros(num_channels, num_samples, num_samples + 1, num_channels, dtype=torch.bool)
    field = model.config.receptive_field_samples
    everything[:, :, field:] = moved.view(num_channels, num_samples, -1, num_channels)
    return everything


@pytest.mark.parametrize("num_channels", [1, 3])
def test_a_sample_changes_no_prediction_of_itself_or_of_the_past(num_channels: int) -> None:
    num_samples = 30
    reached = reach(build(num_channels=num_channels), num_samples)
    predicted, changed = torch.arange(num_samples + 1), torch.arange(num_samples)[:, None]
    assert not reached[:, predicted <= changed].any()
    assert reached.any()


def test_every_channel_reaches_every_head_over_the_whole_receptive_field_and_no_further() -> None:
    model = build(num_channels=3, receptive_field_samples=12)
    reached = reach(model, 26)
    distance = torch.arange(27) - torch.arange(26)[:, None]
    within = (distance >= 1) & (distance <= 12) & (torch.arange(27) >= 12)
    assert torch.equal(reached, within[None, :, :, None].expand_as(reached))


@pytest.mark.parametrize(("depth", "field"), SHAPES)
def test_receptive_field_by_gradient_is_the_one_asked_for(depth: int, field: int) -> None:
    model = build(dilation_depth=depth, receptive_field_samples=field)
    embedded: list[Tensor] = []
    model.embedding.register_forward_hook(lambda *call: embedded.append(call[-1]))
    last_prediction = model(random_codes(model, field + 9))[:, -1]
    (gradient,) = torch.autograd.grad(last_prediction.sum(), embedded)
    reached = gradient.abs().sum(dim=(0, 1, 3)) > 0
    assert torch.equal(reached, torch.arange(field + 9) >= 9)
    assert receptive_field_of(model.config.dilations) == field


@pytest.mark.parametrize(("depth", "field"), SHAPES)
def test_dilations_double_start_again_and_shorten_the_last_alone(depth: int, field: int) -> None:
    dilations = dilations_for(depth, field)
    full = [2 ** (layer % depth) for layer in range(len(dilations))]
    assert list(dilations[:-1]) == full[:-1]
    assert 1 <= dilations[-1] <= full[-1]


@given(depth=st.integers(1, 16), field=st.integers(3, 3000))
def test_layers_are_counted_without_listing_them(depth: int, field: int) -> None:
    config = WaveNetConfig(num_channels=1, dilation_depth=depth, receptive_field_samples=field)
    assert num_layers_of(config) == len(config.dilations)


def test_the_papers_shape_is_three_full_stacks() -> None:
    assert dilations_for(10, 3071) == (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) * 3
    facts = describe(WaveNetConfig(num_channels=1, dilation_depth=10, receptive_field_samples=3071))
    assert (facts["receptive_field_samples"], facts["num_layers"], facts["num_stacks"]) == (3071, 30, 3)
    assert dilations_for(10, 100) == (1, 2, 4, 8, 16, 32, 35)


def plain_wavenet(model: WaveNet, codes: Tensor) -> Tensor:
    """The same function as in a textbook: one-hot input, padded convolutions. (B, T, C, Q)."""
    levels, width = model.config.mu_law_levels, model.config.residual_channels

    def causal(x: Tensor, older: Tensor, newer: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
        kernel = torch.stack([older, newer], dim=-1)
        return functional.conv1d(functional.pad(x, (dilation, 0)), kernel, bias, dilation=dilation)

    one_hot = functional.one_hot(codes.long(), levels).double()  # (B, C, T, Q)
    x = one_hot.permute(0, 1, 3, 2).flatten(1, 2)
    table = model.embedding.weight
    x = causal(x, table[:, :width].t(), table[:, width:].t(), None, 1)
    skips = torch.zeros(())
    for dilation, block in zip(model.config.dilations, model.blocks, strict=True):
        gate = block.gate.weight
        filtered, gated = causal(x, gate[:, :width], gate[:, width:], block.gate.bias, dilation).chunk(2, dim=1)
        gated = torch.tanh(filtered) * torch.sigmoid(gated)
        out = functional.conv1d(gated, block.out.weight[..., None], block.out.bias)
        skips = skips + out[:, -model.config.skip_channels :]
        x = x + out[:, :width] if block is not model.blocks[-1] else x
    hidden = torch.relu(functional.conv1d(torch.relu(skips), model.hidden.weight[..., None], model.hidden.bias))
    logits = functional.conv1d(hidden, model.heads.weight[..., None], model.heads.bias)
    return logits.transpose(1, 2).unflatten(-1, (model.config.num_channels, levels))


@pytest.mark.parametrize(
    "shape",
    [
        {"num_channels": 1, "dilation_depth": 4, "receptive_field_samples": 17},
        {"num_channels": 4, "dilation_depth": 2, "receptive_field_samples": 9},
        {"num_channels": 2, "dilation_depth": 1, "receptive_field_samples": 3},
        {"num_channels": 3, "dilation_depth": 6, "receptive_field_samples": 150, "mu_law_levels": 256},
    ],
)
def test_output_equals_a_plain_implementation(shape: dict[str, int]) -> None:
    model = build(**shape)
    field = model.config.receptive_field_samples
    codes = random_codes(model, field + 40, num_clips=3)
    torch.testing.assert_close(model(codes), plain_wavenet(model, codes)[:, field - 1 :], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(
        model.float()(codes), plain_wavenet(model.double(), codes)[:, field - 1 :].float(), rtol=1e-4, atol=1e-5
    )


def test_surprise_and_loss_are_of_the_sample_that_follows_each_context() -> None:
    model = build(num_channels=3)
    codes = random_codes(model, 40, num_clips=2)
    log_p = model(codes).log_softmax(dim=-1) / math.log(2)
    surprise, entropy, *_ = model.sample_scores(codes)
    field = model.config.receptive_field_samples
    assert surprise.shape == entropy.shape == (2, 3, 40 - field)
    for clip, channel, sample in [(0, 0, field), (1, 2, field), (0, 1, 25), (1, 1, 39)]:
        log_p_here = log_p[clip, sample - field, channel]
        came = int(codes[clip, channel, sample])
        assert surprise[clip, channel, sample - field] == pytest.approx(-log_p_here[came].item())
        assert entropy[clip, channel, sample - field] == pytest.approx(-(2**log_p_here * log_p_here).sum().item())
    assert model.loss_bits(codes).item() == pytest.approx(surprise.mean().item())


def test_a_uniform_network_scores_eight_bits() -> None:
    model = build(mu_law_levels=256).float()
    torch.nn.init.zeros_(model.heads.weight)
    torch.nn.init.zeros_(model.heads.bias)
    codes = random_codes(model, 100, num_clips=2)
    surprise, entropy, *_ = model.sample_scores(codes)
    assert surprise.unique().tolist() == [8.0]
    assert entropy.unique().tolist() == [8.0]
    assert model.loss_bits(codes).item() == pytest.approx(8.0, abs=1e-6)


def test_a_network_that_starts_from_marginals_predicts_each_channel_by_its_own() -> None:
    model = build(num_channels=2, mu_law_levels=4)
    codes = np.zeros((3, 2, 40), dtype=np.uint8)
    codes[:, 0, ::2], codes[:, 1, ::4] = 1, 3  # channel 0: halves of 0 and 1; channel 1: three quarters of 0
    model.start_from_marginals(codes)
    torch.nn.init.zeros_(model.heads.weight)
    surprise = model.sample_scores(torch.from_numpy(codes)).surprise
    shares = [(61 / 124, 61 / 124), (91 / 124, 31 / 124)]  # of 120 samples, one added to each of four levels
    for channel, (of_zero, of_other) in enumerate(shares):
        expected = {round(-math.log2(of_zero), 6), round(-math.log2(of_other), 6)}
        assert {round(bits, 6) for bits in surprise[:, channel].flatten().tolist()} == expected


def test_a_fresh_network_hears_neighbouring_levels_as_alike() -> None:
    model = build(mu_law_levels=256, num_channels=2, residual_channels=16)
    table = model.embedding.weight.detach().view(2, 256, -1)
    near = (table[:, 1:] - table[:, :-1]).norm(dim=-1)
    far = (table[:, 128:] - table[:, :128]).norm(dim=-1)
    assert near.max() < 0.2 * far.mean()
    assert (table[0] - table[1]).norm() > near.max()


@pytest.mark.parametrize("num_channels", [1, 4])
@pytest.mark.parametrize(("depth", "field"), [(1, 5), (3, 40), (5, 64), (7, 128)])
def test_described_facts_are_those_of_the_built_network(num_channels: int, depth: int, field: int) -> None:
    model = build(num_channels=num_channels, dilation_depth=depth, receptive_field_samples=field)
    facts = describe(model.config)
    assert facts["num_weights"] == sum(p.numel() for p in model.parameters()) == count_weights(model.config)
    assert facts["num_layers"] == num_layers_of(model.config) == len(model.config.dilations)
    assert weight_shapes(model.config) == {name: tuple(w.shape) for name, w in model.state_dict().items()}
    assert facts["num_layers"] == len(model.blocks)
    assert (facts["num_stacks"] - 1) * depth < facts["num_layers"] <= facts["num_stacks"] * depth
    assert facts["receptive_field_samples"] == field


def test_every_weight_has_a_gradient() -> None:
    model = build()
    model.loss_bits(random_codes(model, 400, num_clips=2)).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None
        assert weight.grad.abs().sum() > 0, name
    for block in model.blocks:  # no block has a residual output that nobody reads
        residual = block.out.weight.grad[: -model.config.skip_channels]
        assert (residual.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_channels", 0),
        ("dilation_depth", 0),
        ("dilation_depth", 17),
        ("residual_channels", 0),
        ("skip_channels", -3),
        ("receptive_field_samples", 2),
    ],
)
def test_an_impossible_shape_is_named_in_one_line(name: str, value: int) -> None:
    with pytest.raises(UserError, match=rf"^{name} must be .*, but got {value}\.[^\n]*$"):
        WaveNetConfig(**({"num_channels": 1} | {name: value}))
