"""A textbook WaveNet, with the weights of one of ours: what the benchmarks and a test compare with.

Its convolutions are padded `nn.Conv1d`, so it also predicts samples without full context and drops them, and it holds
all logits at once. Its input is a table of embeddings, or one-hot vectors, which are slower and also common.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.model.fast.likelihood import LEAST_VARIANCE, SampleScores
from core.model.wavenet import ResidualBlock, WaveNet
from core.model.wavenet_config import FRONT_KERNEL, KERNEL


class TextbookWaveNet(nn.Module):
    """(B, C, T) codes to logits (B, C, Q, T): at t, of sample t + 1. Weights are copied from one of ours."""

    offsets: Tensor

    def __init__(self, ours: WaveNet, one_hot: bool) -> None:
        super().__init__()
        config = ours.config
        self.num_channels, self.levels, self.width = config.num_channels, config.mu_law_levels, config.residual_channels
        self.dilations, self.one_hot = config.dilations, one_hot
        self.register_buffer("offsets", ours.get_buffer("code_offsets").clone())
        table = ours.embedding.weight.detach()
        self.embedding = nn.Embedding.from_pretrained(table.clone(), freeze=False)  # type: ignore[no-untyped-call]
        # A tap's half of each embedding: what a table of twice the width needs to stand for one table a tap.
        taps = table if one_hot else torch.eye(FRONT_KERNEL * self.width, device=table.device)
        self.front = _convolution(taps.t(), None, split_outputs=True)
        blocks = [cast(ResidualBlock, block) for block in ours.blocks]
        self.gates = nn.ModuleList(_convolution(b.gate.weight, b.gate.bias, dilation=b.dilation) for b in blocks)
        self.outs = nn.ModuleList(_convolution(b.out.weight, b.out.bias, kernel=1) for b in blocks)
        self.hidden = _convolution(ours.hidden.weight, ours.hidden.bias, kernel=1)
        self.heads = _convolution(ours.heads.weight, ours.heads.bias, kernel=1)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.front(functional.pad(self._input(codes), (FRONT_KERNEL - 1, 0)))
        skips = x.new_zeros(())
        for dilation, gate, out in zip(self.dilations, self.gates, self.outs, strict=True):
            filtered, gated = gate(functional.pad(x, (dilation * (KERNEL - 1), 0))).chunk(2, dim=1)
            both = out(torch.tanh(filtered) * torch.sigmoid(gated))
            skips = skips + both[:, -self.hidden.in_channels :]
            x = x + both[:, : self.width] if out is not self.outs[-1] else x
        logits: Tensor = self.heads(torch.relu(self.hidden(torch.relu(skips))))
        return torch.unflatten(logits, 1, (self.num_channels, self.levels))

    def _input(self, codes: Tensor) -> Tensor:
        if self.one_hot:
            return functional.one_hot(codes.long(), self.levels).transpose(2, 3).flatten(1, 2).float()
        embedded: Tensor = self.embedding(codes.long() + self.offsets)
        return embedded.sum(dim=1).transpose(1, 2)

    def loss_bits(self, codes: Tensor, context_samples: int) -> Tensor:
        logits = self(codes[..., :-1])[..., context_samples - 1 :].transpose(1, 2)
        return functional.cross_entropy(logits, codes[..., context_samples:].long()) / math.log(2)

    @torch.inference_mode()
    def sample_scores(self, codes: Tensor, context_samples: int) -> SampleScores:
        log_p = self(codes[..., :-1])[..., context_samples - 1 :].log_softmax(dim=2) / math.log(2)
        p = log_p.exp2()
        targets = codes[:, :, None, context_samples:].long()
        surprise = -log_p.gather(2, targets).squeeze(2)
        entropy = -(p * log_p).sum(dim=2)
        variance = (p * log_p.square()).sum(dim=2) - entropy.square()
        normalised = (surprise - entropy) / (variance + LEAST_VARIANCE).sqrt()
        below = (p.cumsum(dim=2) - p).gather(2, targets).squeeze(2)
        return SampleScores(surprise, entropy, normalised, below)


def _convolution(
    weight: Tensor, bias: Tensor | None, *, kernel: int = KERNEL, dilation: int = 1, split_outputs: bool = False
) -> nn.Conv1d:
    """A Conv1d of these weights; the taps lie side by side in the matrix's inputs, or in its outputs."""
    taps = torch.stack(weight.detach().chunk(kernel, dim=0 if split_outputs else 1), dim=-1).contiguous()
    outputs, inputs, _ = taps.shape
    convolution = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, bias=bias is not None, device=weight.device)
    convolution.weight = nn.Parameter(taps)
    if bias is not None:
        convolution.bias = nn.Parameter(bias.detach().clone())
    return convolution
