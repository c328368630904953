"""WaveNet as a predictor: a causal stack of gated, dilated convolutions on mu-law codes (van den Oord et al., 2016).

B clips, C channels (microphones), T samples, Q mu-law levels, R residual and S skip channels. One network hears all
channels: their embeddings are summed, and each channel has its own softmax head, p(x_t^c | all channels before t).

    codes (B, C, T) -> embeddings, front convolution (B, T', R) -> blocks -> skips (B, T'', S) -> heads (B, T'', C * Q)

Convolutions are "valid": every output has its full context, nothing is padded, and n samples of context plus m targets
give m outputs. Tensors are (B, T, features), so that a convolution of kernel 2 is one matrix product.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.model.fast.likelihood import SampleScores
from core.model.fast.network import FastNetwork, LossBits
from core.model.wavenet_config import FRONT_KERNEL, KERNEL, WaveNetConfig

NUM_EMBEDDING_COSINES = 8


class ResidualBlock(nn.Module):
    """A tanh * sigmoid gate over a dilated convolution, then 1x1 convolutions to the residual and skip paths.

    The last block of a network has no residual output, because nothing would read it.
    """

    def __init__(self, *, residual_channels: int, skip_channels: int, dilation: int, is_last: bool) -> None:
        super().__init__()
        self.dilation = dilation
        self.residual_channels = 0 if is_last else residual_channels
        self.gate = nn.Linear(KERNEL * residual_channels, 2 * residual_channels)
        self.out = nn.Linear(residual_channels, self.residual_channels + skip_channels)

    def forward(self, x: Tensor, num_outputs: int) -> tuple[Tensor, Tensor]:
        """(B, T, R) to residual path (B, T - dilation, R) and the last outputs of the skip path (B, num_outputs, S)."""
        taps = torch.cat([x[:, : -self.dilation], x[:, self.dilation :]], dim=-1)
        filtered, gate = self.gate(taps).chunk(2, dim=-1)
        out = self.out(torch.tanh(filtered) * torch.sigmoid(gate))
        residual = x[:, self.dilation :] + out[..., : self.residual_channels] if self.residual_channels else x
        return residual, out[:, -num_outputs:, self.residual_channels :]


class WaveNet(nn.Module):
    """The network. Its outputs are aligned with the targets codes[..., receptive_field_samples:]."""

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        self.config = config
        dilations = config.dilations
        width, skip = config.residual_channels, config.skip_channels
        num_codes = config.num_channels * config.mu_law_levels
        self.embedding = nn.Embedding(num_codes, FRONT_KERNEL * width)
        self.embedding.weight.data = _smooth_embedding(config)
        self.blocks = nn.ModuleList(
            ResidualBlock(residual_channels=width, skip_channels=skip, dilation=d, is_last=i == len(dilations) - 1)
            for i, d in enumerate(dilations)
        )
        self.hidden = nn.Linear(skip, skip)
        self.heads = nn.Linear(skip, num_codes)
        offsets = torch.arange(config.num_channels)[:, None] * config.mu_law_levels
        self.register_buffer("code_offsets", offsets, persistent=False)

    @torch.no_grad()
    def start_from_marginals(self, codes: npt.NDArray[np.uint8]) -> None:
        """Sets the heads' biases to the log frequencies of the levels in training codes (N, C, T), channel by channel.

        The heads' weights become zero. So an untrained network is the best predictor without memory, instead of a
        uniform one with noise.
        """
        frequencies = torch.from_numpy(marginals_of(codes, self.config.mu_law_levels))
        self.heads.bias.copy_(frequencies.log().flatten())
        self.heads.weight.zero_()

    @property
    def num_weights(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def features(self, codes: Tensor) -> Tensor:
        """(B, C, T) codes to (B, T - receptive_field + 1, S): features that predict the sample after each context."""
        num_outputs = codes.shape[-1] - self.config.receptive_field_samples + 1
        assert num_outputs > 0, "fewer samples than the receptive field"
        assert isinstance(self.code_offsets, Tensor)
        taps = self.embedding(codes.long() + self.code_offsets).sum(dim=1)  # the features of both taps, side by side
        width = self.config.residual_channels
        x = taps[:, :-1, :width] + taps[:, 1:, width:]
        skips = None
        for block in self.blocks:
            x, skip = block(x, num_outputs)
            skips = skip if skips is None else skips + skip
        assert skips is not None
        return functional.relu(self.hidden(functional.relu(skips)))

    def forward(self, codes: Tensor) -> Tensor:
        """(B, C, T) codes to logits (B, T - receptive_field + 1, C, Q). Training never holds all of them."""
        logits: Tensor = self.heads(self.features(codes))
        return logits.view(*logits.shape[:2], self.config.num_channels, self.config.mu_law_levels)

    def fast(self) -> FastNetwork:
        """The same function for speed, with the weights of this moment."""
        return FastNetwork(
            list(self.parameters()),
            num_channels=self.config.num_channels,
            dilations=self.config.dilations,
            precision=self.config.precision,
        )

    def loss_bits(self, codes: Tensor) -> Tensor:
        """Mean surprise in bits per sample over every target with full context."""
        loss: Tensor = LossBits.apply(self.fast(), codes, *self.parameters())  # type: ignore[no-untyped-call]
        return loss

    def sample_scores(self, codes: Tensor) -> SampleScores:
        """(B, C, T) codes to (B, C, T - receptive_field) tensors."""
        return self.fast().sample_scores(codes)


def marginals_of(codes: npt.NDArray[np.uint8], levels: int) -> npt.NDArray[np.float64]:
    """(C, Q) frequencies of the levels in codes (N, C, T), by channel. Each count is raised by 1, so none is 0."""
    counts = _level_counts(codes, levels) + 1.0
    frequencies: npt.NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
    return frequencies


def memoryless_bits(frequencies: npt.NDArray[np.float64], codes: npt.NDArray[np.uint8]) -> float:
    """Mean surprise in bits per sample of codes (N, C, T) for a predictor that always expects these frequencies (C, Q).

    The difference to a network's loss is what the network learned from the past. This difference compares front ends
    that differ in rate or number of levels. NaN where there are no codes.
    """
    if not codes.size:
        return math.nan
    counts = _level_counts(codes, frequencies.shape[1])
    return float(-(counts * np.log2(frequencies)).sum() / counts.sum())


def _level_counts(codes: npt.NDArray[np.uint8], levels: int) -> npt.NDArray[np.int64]:
    """(N, C, T) to (C, Q)."""
    return np.stack([np.bincount(codes[:, c].ravel(), minlength=levels) for c in range(codes.shape[1])])


def _smooth_embedding(config: WaveNetConfig) -> Tensor:
    """(C * Q, front kernel * R): random mixtures of a few cosines over the levels, lower ones stronger.

    Neighbouring levels start with neighbouring embeddings. With independent ones the network would first have to learn
    that level 100 lies between 99 and 101, which takes longer than a short trial.
    """
    levels = (torch.arange(config.mu_law_levels) + 0.5) / config.mu_law_levels
    orders = torch.arange(1, NUM_EMBEDDING_COSINES + 1)
    cosines = torch.cos(math.pi * orders * levels[:, None]) / orders
    mixtures = torch.randn(config.num_channels, NUM_EMBEDDING_COSINES, FRONT_KERNEL * config.residual_channels)
    scale = (FRONT_KERNEL * config.num_channels) ** -0.5
    embedding: Tensor = (cosines @ mixtures * scale).flatten(0, 1)
    return embedding
