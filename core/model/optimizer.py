"""The optimizer of the network's weights: Muon for matrices between features, Adam for the rest.

    blocks.*.gate.weight                Muon, for the filter and for the gate: two matrices, one above the other
    blocks.*.out.weight, hidden.weight  Muon: its momentum is orthogonalised, so all directions of a matrix learn
    embedding.weight, heads.*           Adam, on the coefficients of cosines over the levels, not on the levels
    all other biases                    Adam

Muon is by Jordan and others (2024, "Muon: An optimizer for hidden layers in neural networks"), with the constants of
their Newton-Schulz iteration and their scale by shape. `torch.optim.Muon` computes the same matrix by matrix and in
bfloat16. Here all matrices of one shape are one batched product, which takes a fraction of the time where matrices are
small. Adam is by Kingma and Ba (2015). The class is none of PyTorch's, whose base imports PyTorch's compiler, which
takes a second or two in every process.

Embedding and heads have a row a level. Adam on the rows moves every level separately, and a rare level learns late.
Here W = B A, the columns of B are fixed cosines over the levels, and Adam steps A, so that neighbouring levels move
together. B is invertible: the network is the same, and no W is out of reach.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from core.model.training import Optimizer
from core.model.training_config import TrainingConfig
from core.model.wavenet import WaveNet

MUON_RATE = 2.0
"""Muon's rate in learning rates. Muon's steps do not depend on the size of a matrix in the way that Adam's do."""
MUON_MOMENTUM = 0.9
NEWTON_SCHULZ_FACTORS, NEWTON_SCHULZ_STEPS = (3.4445, -4.7750, 2.0315), 3
"""Jordan takes five steps. Three take less time, and the loss was the same (benchmarks/LEARNING.md)."""
ADAM_BETAS = (0.9, 0.99)
COSINE_SCALE, COSINE_ORDER, COSINE_DECAY = 2.0, 8.0, 1.5
"""The cosine of order k is COSINE_SCALE / (1 + k / COSINE_ORDER) ** COSINE_DECAY high: low orders learn faster."""
EPSILON = 1e-8

GATES, MATRICES, LEVELS, OTHERS = "gates", "matrices", "levels", "others"


def make_optimizer(model: WaveNet, config: TrainingConfig) -> Optimizer:
    """The optimizer that the configuration asks for."""
    if config.optimizer == "adam":
        return torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    return WaveNetOptimizer(model, learning_rate=config.learning_rate, weight_decay=config.weight_decay)


class WaveNetOptimizer:
    """Steps the weights of a network, each by the rule of its kind. Every group's `lr` is the learning rate."""

    param_groups: list[dict[str, Any]]
    """The weights of each kind."""

    def __init__(self, model: WaveNet, *, learning_rate: float, weight_decay: float = 0.0) -> None:
        self._weight_decay = weight_decay
        weights: dict[str, list[Tensor]] = {GATES: [], MATRICES: [], LEVELS: [], OTHERS: []}
        for name, weight in model.named_parameters():
            weights[_kind_of(name)].append(weight)
        self.param_groups = [{"params": weights[kind], "kind": kind, "lr": learning_rate} for kind in weights]
        self._moments: list[dict[str, Tensor]] = [{} for _ in model.parameters()]
        self._place = {weight: i for i, weight in enumerate(weight for each in weights.values() for weight in each)}
        self._by_level = (model.config.num_channels, model.config.mu_law_levels, -1)
        self._cosines = scaled_cosines(model.config.mu_law_levels).to(model.heads.weight)

    def state_dict(self) -> dict[str, Any]:
        """As PyTorch's: the moments of each weight that has stepped, by its place in the groups."""
        return {"state": {place: dict(moments) for place, moments in enumerate(self._moments) if moments}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Moments lie where their weights do, but for the number of the step, which stays on the CPU."""
        for weight, place in self._place.items():
            moments = state["state"].get(place, {}).items()
            self._moments[place] = {name: each if name == "step" else each.to(weight) for name, each in moments}

    @torch.no_grad()
    def step(self) -> None:
        """Changes the weights by their gradients, which must have been computed."""
        for group in self.param_groups:
            weights: list[Tensor] = group["params"]
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            assert len(gradients) == len(weights), "every weight has a gradient"
            pairs = zip(weights, self._changes(group["kind"], weights, gradients), strict=True)
            if self._weight_decay:
                torch._foreach_mul_(weights, 1 - group["lr"] * self._weight_decay)
            torch._foreach_sub_(weights, [change.reshape(weight.shape) for weight, change in pairs], alpha=group["lr"])

    def _changes(self, kind: str, weights: Sequence[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        """What is subtracted from the weights of a kind, for one learning rate."""
        if kind == LEVELS:
            return self._smooth_changes(weights, gradients)
        if kind == OTHERS:
            return self._adam_changes(weights, gradients)
        return self._orthogonal_changes(weights, gradients, num_parts=2 if kind == GATES else 1)

    def _orthogonal_changes(
        self, weights: Sequence[Tensor], gradients: Sequence[Tensor], *, num_parts: int
    ) -> list[Tensor]:
        """Muon's, for one learning rate. A weight is `num_parts` matrices, one above the other."""
        ahead = []
        for weight, gradient in zip(weights, gradients, strict=True):
            momentum = self._state_of(weight, "momentum", gradient).lerp_(gradient, 1 - MUON_MOMENTUM)
            ahead.append(gradient.lerp(momentum, MUON_MOMENTUM).reshape(num_parts, -1, gradient.shape[1]))  # Nesterov
        changes = [torch.empty(0)] * len(ahead)
        for indices in _by_shape(ahead):
            orthogonal = orthogonalised(torch.stack([ahead[index] for index in indices]))
            num_outputs, num_inputs = orthogonal.shape[-2:]
            orthogonal *= MUON_RATE * math.sqrt(max(1.0, num_outputs / num_inputs))
            for index, change in zip(indices, orthogonal, strict=True):
                changes[index] = change
        return changes

    def _smooth_changes(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """Of weights with a row a level, for one learning rate: Adam's changes of the cosines' coefficients."""
        by_level = [gradient.reshape(self._by_level) for gradient in gradients]
        widths = [len(gradient[0, 0]) for gradient in by_level]  # one product for all of them
        coefficients = list(torch.split(self._cosines.t() @ torch.cat(by_level, dim=-1), widths, dim=-1))
        changes = self._cosines @ torch.cat(self._adam_changes(weights, coefficients), dim=-1)
        return list(torch.split(changes, widths, dim=-1))

    def _adam_changes(self, weights: Sequence[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        """Adam's, for one learning rate. Small weights are many, so each operation is one call for all of them."""
        pairs = list(zip(weights, gradients, strict=True))
        steps = [self._state_of(weight, "step", torch.zeros(())) for weight in weights]
        means = [self._state_of(weight, "exp_avg", gradient) for weight, gradient in pairs]
        squares = [self._state_of(weight, "exp_avg_sq", gradient) for weight, gradient in pairs]
        torch._foreach_add_(steps, 1)
        unbiased = [1 - beta ** steps[0].item() for beta in ADAM_BETAS]
        torch._foreach_lerp_(means, gradients, 1 - ADAM_BETAS[0])
        torch._foreach_mul_(squares, ADAM_BETAS[1])
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - ADAM_BETAS[1])
        deviations = torch._foreach_div(squares, unbiased[1])
        torch._foreach_sqrt_(deviations)
        torch._foreach_add_(deviations, EPSILON)
        changes = torch._foreach_div(means, deviations)
        torch._foreach_div_(changes, unbiased[0])
        return list(changes)

    def _state_of(self, weight: Tensor, name: str, like: Tensor) -> Tensor:
        """A tensor that is kept from step to step, and saved with the weights. It starts with zeros."""
        moments = self._moments[self._place[weight]]
        if name not in moments:
            moments[name] = torch.zeros_like(like)
        return moments[name]


def _kind_of(name: str) -> str:
    """Of a weight by its name in the network's state_dict."""
    if name.startswith(("embedding.", "heads.")):
        return LEVELS
    if name.endswith(".gate.weight"):
        return GATES
    return MATRICES if name.endswith(".weight") else OTHERS


def _by_shape(tensors: Iterable[Tensor]) -> Iterable[list[int]]:
    """The indices of the tensors, those of one shape together."""
    indices: dict[torch.Size, list[int]] = defaultdict(list)
    for index, tensor in enumerate(tensors):
        indices[tensor.shape].append(index)
    return indices.values()


def orthogonalised(matrices: Tensor) -> Tensor:
    """(..., rows, columns): U V^T of each matrix U S V^T, but with singular values of about 1 in place of 1.

    A quintic Newton-Schulz iteration. Singular values from a twentieth of the matrix's norm on end between 0.6 and 1.3,
    smaller ones end smaller. A matrix of zeros stays as it is.
    """
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if is_tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + EPSILON)
    first, third, fifth = NEWTON_SCHULZ_FACTORS
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = first * x + (third * gram + fifth * gram @ gram) @ x
    result: Tensor = x.mT if is_tall else x
    return result


def scaled_cosines(num_levels: int) -> Tensor:
    """(Q, Q): column k is the cosine of order k over the levels, scaled by how fast it learns."""
    orders = torch.arange(num_levels)
    places = (orders + 0.5) / num_levels
    heights = COSINE_SCALE / (1 + orders / COSINE_ORDER) ** COSINE_DECAY
    scaled: Tensor = torch.cos(math.pi * orders * places[:, None]) * heights
    return scaled
