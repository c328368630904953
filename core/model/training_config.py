"""How a network is trained: lengths, the optimiser, and the schedule of its learning rate."""

from dataclasses import dataclass
from typing import Literal

from core.errors import UserError

OPTIMIZERS = ("muon", "adam")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the network is trained."""

    epochs: int = 8
    """Epochs, each followed by an evaluation."""
    seconds_per_epoch: float = 30.0
    """Audio on which the loss is computed in one epoch, drawn with replacement."""
    optimizer: Literal["muon", "adam"] = "muon"
    """`muon` orthogonalises the steps of matrices and smooths those of levels (core/model/optimizer.py); `adam` is
    PyTorch's Adam for every weight."""
    learning_rate: float = 1e-2
    """Of the steps between warm-up and decay."""
    warmup_share: float = 0.1
    """Share of all steps in which the rate rises from zero."""
    decay_share: float = 0.5
    """Share of all steps, the last ones, in which the rate falls to zero."""
    weight_decay: float = 0.0
    """Before each step, every weight shrinks by this share of itself in learning rates (Loshchilov and Hutter, 2019,
    "Decoupled weight decay regularization")."""
    batch_windows: int = 4
    """Windows a step."""
    window_targets: int = 256
    """Predicted samples a window, per channel, in addition to the receptive field."""
    gradient_norm: float = 1.0
    """Larger gradients are scaled down to this norm."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_windows", "window_targets"):
            if getattr(self, name) < 1:
                raise UserError(f"training.{name} must be at least 1, but got {getattr(self, name)}.")
        for name in ("seconds_per_epoch", "learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise UserError(f"training.{name} must be above 0, but got {getattr(self, name)}.")
        if self.learning_rate > 1:
            raise UserError(f"training.learning_rate must be at most 1, but got {self.learning_rate}.")
        if self.optimizer not in OPTIMIZERS:
            raise UserError(f"training.optimizer must be one of {', '.join(OPTIMIZERS)}, but got {self.optimizer!r}.")
        for name in ("warmup_share", "decay_share", "weight_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"training.{name} must be 0 to 1, but got {getattr(self, name)}.")
        if self.warmup_share + self.decay_share > 1:
            shares = f"{self.warmup_share} and {self.decay_share}"
            raise UserError(f"training.warmup_share and decay_share must be at most 1 together, but got {shares}.")

    def steps_per_epoch(self, sample_rate_hz: int) -> int:
        return max(1, round(self.seconds_per_epoch * sample_rate_hz / (self.batch_windows * self.window_targets)))

    def learning_rate_at(self, progress: float) -> float:
        """The rate after a share `progress` (0 to 1) of all steps."""
        if progress < self.warmup_share:
            return self.learning_rate * progress / self.warmup_share
        if progress <= 1 - self.decay_share:
            return self.learning_rate
        return self.learning_rate * (1 - progress) / self.decay_share
