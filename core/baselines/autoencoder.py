"""The autoencoder of DCASE 2020's task 2 on five log-mel frames, and a variant that predicts the middle frame.

Koizumi and others, "Description and discussion on DCASE2020 Challenge Task 2" (2020): five frames of 128 bands through
128-128-128-128-8-128-128-128-128 units, each with batch norm and ReLU, and back. IDNN (Suefusa and others, "Anomalous
sound detection based on interpolation deep neural network", ICASSP 2020) sees only the neighbours of the middle frame,
so it has to predict the frame and cannot copy it.
"""

from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from core.baselines.network import FrameNetwork, NetworkAlternative

FRAMES = 5
MIDDLE = FRAMES // 2
HIDDEN = (128, 128, 128, 128, 8, 128, 128, 128, 128)
BATCH = 512


class Autoencoder(FrameNetwork):
    """Reconstructs five frames; with `interpolates` it predicts the middle frame from the other four."""

    context_frames = FRAMES - 1
    centre_frames = MIDDLE

    def __init__(self, num_bands: int, *, interpolates: bool) -> None:
        super().__init__()
        self.interpolates = interpolates
        widths = [(FRAMES - interpolates) * num_bands, *HIDDEN]
        layers: list[nn.Module] = []
        for width, following in pairwise(widths):
            layers += [nn.Linear(width, following), nn.BatchNorm1d(following), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], num_bands if interpolates else FRAMES * num_bands))

    def errors(self, frames: Tensor) -> Tensor:
        """(M, L, B) to (M, L - 4): the error of each five frames, or of their middle one."""
        windows = frames.unfold(1, FRAMES, 1).transpose(2, 3)  # (M, L - 4, 5, B)
        seen = windows[:, :, [i for i in range(FRAMES) if i != MIDDLE]] if self.interpolates else windows
        target = windows[:, :, MIDDLE] if self.interpolates else windows.flatten(2)
        guess = self.layers(seen.flatten(2).flatten(0, 1)).unflatten(0, windows.shape[:2])
        errors: Tensor = (guess - target).square().mean(dim=-1)
        return errors


def autoencoder(*, num_steps: int = 1000, learning_rate: float = 1e-3) -> NetworkAlternative:
    """DCASE 2020's baseline."""
    return _alternative("log-mel autoencoder", interpolates=False, num_steps=num_steps, learning_rate=learning_rate)


def idnn(*, num_steps: int = 1000, learning_rate: float = 1e-3) -> NetworkAlternative:
    """The same with the middle frame as its target."""
    return _alternative("log-mel IDNN", interpolates=True, num_steps=num_steps, learning_rate=learning_rate)


def _alternative(name: str, *, interpolates: bool, num_steps: int, learning_rate: float) -> NetworkAlternative:
    return NetworkAlternative(
        name=name,
        build=partial(Autoencoder, interpolates=interpolates),
        min_frames=FRAMES,
        num_steps=num_steps,
        batch_stretches=BATCH,
        stretch_frames=FRAMES,
        learning_rate=learning_rate,
    )
