"""The optimizer: each part equals a reference, and its steps have the size and the smoothness that they should."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.model.optimizer import (
    ADAM_BETAS,
    MUON_MOMENTUM,
    MUON_RATE,
    NEWTON_SCHULZ_STEPS,
    WaveNetOptimizer,
    make_optimizer,
    orthogonalised,
    scaled_cosines,
)
from core.model.training_config import TrainingConfig
from core.model.wavenet import WaveNet
from core.model.wavenet_config import WaveNetConfig

ROOT = Path(__file__).resolve().parents[3]
RATE, LEVELS, CHANNELS = 1e-2, 32, 2


def build() -> WaveNet:
    torch.manual_seed(5)
    shape = WaveNetConfig(
        num_channels=CHANNELS, mu_law_levels=LEVELS, receptive_field_samples=24, residual_channels=6, skip_channels=10
    )
    return WaveNet(shape)


def gradients(model: WaveNet, step: int) -> dict[str, Tensor]:
    torch.manual_seed(100 + step)
    codes = torch.randint(LEVELS, (2, CHANNELS, 80))
    loss = model.loss_bits(codes)
    names = [name for name, _ in model.named_parameters()]
    return dict(zip(names, torch.autograd.grad(loss, list(model.parameters())), strict=True))


def stepped(model: WaveNet, num_steps: int = 3) -> list[dict[str, Tensor]]:
    """Takes steps and returns their gradients."""
    optimizer = WaveNetOptimizer(model, learning_rate=RATE)
    taken = []
    for step in range(num_steps):
        taken.append(gradients(model, step))
        for name, weight in model.named_parameters():
            weight.grad = taken[-1][name]
        optimizer.step()
    return taken


def by_reference(weight: Tensor, optimizer: torch.optim.Optimizer, steps: list[Tensor]) -> Tensor:
    for gradient in steps:
        weight.grad = gradient
        optimizer.step()
    return weight.detach()


@pytest.mark.slow  # importing PyTorch's Muon alone takes seconds
@pytest.mark.parametrize(
    ("name", "num_parts"),
    [("blocks.0.gate.weight", 2), ("blocks.1.out.weight", 1), ("blocks.4.out.weight", 1), ("hidden.weight", 1)],
)
def test_matrices_are_stepped_as_by_pytorchs_muon(name: str, num_parts: int) -> None:
    model = build()
    start = model.get_parameter(name).detach().clone()
    taken = [step[name] for step in stepped(model)]
    expected = []
    for part in range(num_parts):
        weight = start.chunk(num_parts)[part].clone().requires_grad_()
        reference = torch.optim.Muon(
            [weight],
            lr=RATE * MUON_RATE,
            momentum=MUON_MOMENTUM,
            weight_decay=0.0,
            ns_steps=NEWTON_SCHULZ_STEPS,
        )
        expected.append(by_reference(weight, reference, [step.chunk(num_parts)[part] for step in taken]))
    change, reference_change = model.get_parameter(name).detach() - start, torch.cat(expected) - start
    bound = 0.03 * reference_change.abs().max().item()  # bfloat16's rounding
    torch.testing.assert_close(change, reference_change, rtol=0.1, atol=bound)


def test_the_steps_of_a_matrix_do_not_depend_on_the_size_of_its_gradients() -> None:
    model, other = build(), build()
    for each, size in ((model, 1.0), (other, 1e3)):
        optimizer = WaveNetOptimizer(each, learning_rate=RATE)
        for name, gradient in gradients(each, 0).items():
            each.get_parameter(name).grad = gradient * size
        optimizer.step()
    for name, weight in model.named_parameters():
        if name.startswith(("blocks.", "hidden.")):
            torch.testing.assert_close(weight, other.get_parameter(name), rtol=1e-3, atol=1e-4)


def test_biases_are_stepped_as_by_pytorchs_adam() -> None:
    model = build()
    before = copy.deepcopy(dict(model.named_parameters()))
    taken = stepped(model)
    for name in ("blocks.0.gate.bias", "blocks.1.out.bias", "hidden.bias"):
        reference = torch.optim.Adam([before[name]], lr=RATE, betas=ADAM_BETAS)
        expected = by_reference(before[name], reference, [step[name] for step in taken])
        torch.testing.assert_close(model.get_parameter(name).detach(), expected)


@pytest.mark.parametrize("name", ["embedding.weight", "heads.weight", "heads.bias"])
def test_levels_are_stepped_as_by_adam_on_the_coefficients_of_cosines(name: str) -> None:
    model = build()
    start = model.get_parameter(name).detach().clone()
    taken = [step[name] for step in stepped(model)]
    cosines = torch.block_diag(*[scaled_cosines(LEVELS)] * CHANNELS)  # a channel's levels lie side by side
    coefficients = torch.zeros_like(start)
    reference = torch.optim.Adam([coefficients.requires_grad_()], lr=RATE, betas=ADAM_BETAS)
    by_reference(coefficients, reference, [cosines.t() @ step for step in taken])
    expected = start + cosines @ coefficients.detach()
    both = [model.get_parameter(name).detach(), expected]
    if name.startswith("heads"):
        both = [without_a_constant(each) for each in both]
    torch.testing.assert_close(*both, rtol=1e-4, atol=1e-5)


def without_a_constant(heads: Tensor) -> Tensor:
    """Less the mean over a channel's levels, which changes no probability: its gradient is rounding, which differs from
    machine to machine, and Adam's step is as large for it as for any other."""
    levels = heads.unflatten(0, (CHANNELS, LEVELS))
    return levels - levels.mean(dim=1, keepdim=True)


def test_no_weight_is_out_of_the_cosines_reach() -> None:
    for num_levels in (2, 64, 256):
        assert torch.linalg.matrix_rank(scaled_cosines(num_levels)) == num_levels


def test_a_gradient_of_one_level_moves_its_neighbours_along() -> None:
    model = build()
    start = model.heads.weight.detach().clone()
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    assert model.heads.weight.grad is not None
    model.heads.weight.grad[10, 0] = 1.0
    WaveNetOptimizer(model, learning_rate=RATE).step()
    change = (model.heads.weight.detach() - start)[:, 0]
    assert change[10] < change[9] < 0
    assert change[10] < change[11] < 0
    assert change[LEVELS:].abs().max() == 0, "the other channel has no gradient"


@pytest.mark.parametrize("shape", [(4, 8, 8), (3, 20, 6), (2, 6, 20)])
def test_an_orthogonalised_matrix_has_its_singular_vectors_and_singular_values_near_one(
    shape: tuple[int, int, int],
) -> None:
    torch.manual_seed(2)
    matrices = torch.randn(shape, dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    core = left.mT @ orthogonalised(matrices) @ right.mT
    diagonal = core.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(core, torch.diag_embed(diagonal))
    large = values / values.norm(dim=-1, keepdim=True) > 0.05
    assert ((diagonal > 0.6) & (diagonal < 1.3))[large].all()


def test_weights_without_a_gradient_stay_where_they_are() -> None:
    model = build()
    before = copy.deepcopy(model.state_dict())
    optimizer = WaveNetOptimizer(model, learning_rate=RATE)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["muon", "adam"])
def test_weight_decay_shrinks_every_weight_and_changes_no_step(name: str) -> None:
    plain, decayed = build(), build()
    decayed.load_state_dict(plain.state_dict())
    before, steps = copy.deepcopy(plain.state_dict()), gradients(plain, 0)
    for model, weight_decay in ((plain, 0.0), (decayed, 0.5)):
        config = TrainingConfig(optimizer=name, learning_rate=RATE, weight_decay=weight_decay)  # type: ignore[arg-type]
        for key, weight in model.named_parameters():
            weight.grad = steps[key]
        make_optimizer(model, config).step()
    for key, weight in decayed.named_parameters():
        torch.testing.assert_close(weight, plain.state_dict()[key] - RATE * 0.5 * before[key])


def test_a_restored_optimizer_takes_the_same_steps_to_the_bit() -> None:
    model = build()
    optimizer = WaveNetOptimizer(model, learning_rate=RATE)
    twin = copy.deepcopy(model)
    for step in range(4):
        for each in (model, twin):
            for name, gradient in gradients(model, step).items():
                each.get_parameter(name).grad = gradient
        if step == 2:
            twin.load_state_dict(model.state_dict())
            restored = WaveNetOptimizer(twin, learning_rate=RATE)
            restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        if step >= 2:
            restored.step()
        optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), twin.parameters(), strict=True))


def test_its_steps_do_not_import_pytorchs_compiler() -> None:
    code = """if True:
        import sys, torch
        from core.model.optimizer import WaveNetOptimizer
        from core.model.wavenet import WaveNet, WaveNetConfig
        model = WaveNet(WaveNetConfig(
            num_channels=1, mu_law_levels=8, receptive_field_samples=4, residual_channels=2, skip_channels=2))
        optimizer = WaveNetOptimizer(model, learning_rate=0.1)
        for weight in model.parameters():
            weight.grad = torch.ones_like(weight)
        optimizer.step()
        sys.exit("torch._dynamo" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(("name", "kind"), [("muon", WaveNetOptimizer), ("adam", torch.optim.Adam)])
def test_the_configuration_chooses_the_optimizer(name: str, kind: type) -> None:
    config = TrainingConfig(optimizer=name, learning_rate=3e-3)  # type: ignore[arg-type]
    optimizer = make_optimizer(build(), config)
    assert isinstance(optimizer, kind)
    assert all(group["lr"] == 3e-3 for group in optimizer.param_groups)
