"""A small network, and codes for it."""

import torch
from torch import Tensor

from core.model.wavenet import WaveNet
from core.model.wavenet_config import WaveNetConfig

SMALL = {
    "num_channels": 2,
    "mu_law_levels": 12,
    "dilation_depth": 3,
    "receptive_field_samples": 17,
    "residual_channels": 6,
    "skip_channels": 10,
}


def small_wavenet(**shape: int) -> WaveNet:
    torch.manual_seed(1)
    return WaveNet(WaveNetConfig(**(SMALL | shape)))


def random_codes(model: WaveNet, num_samples: int, num_clips: int = 1) -> Tensor:
    """(num_clips, C, num_samples)."""
    shape = (num_clips, model.config.num_channels, num_samples)
    return torch.randint(model.config.mu_law_levels, shape, dtype=torch.uint8)
