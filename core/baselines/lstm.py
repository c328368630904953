"""An LSTM that predicts the next log-mel frame from all before it: WaveNet's rival in Hayashi and others (2018)."""

from torch import Tensor, nn

from core.baselines.network import FrameNetwork, NetworkAlternative

UNITS = 128
FIRST_FRAMES = 4
"""Frames that are heard before one is predicted."""
STRETCH, BATCH = 36, 32


class NextFrame(FrameNetwork):
    """One layer of LSTM cells and a linear one."""

    context_frames = FIRST_FRAMES
    centre_frames = FIRST_FRAMES

    def __init__(self, num_bands: int) -> None:
        super().__init__()
        self.memory = nn.LSTM(num_bands, UNITS, batch_first=True)
        self.guess = nn.Linear(UNITS, num_bands)

    def errors(self, frames: Tensor) -> Tensor:
        """(M, L, B) to (M, L - 4): of each frame from the fifth on, as the ones before it let it be expected."""
        states, _ = self.memory(frames[:, :-1])
        guesses = self.guess(states[:, FIRST_FRAMES - 1 :])
        errors: Tensor = (guesses - frames[:, FIRST_FRAMES:]).square().mean(dim=-1)
        return errors


def lstm(*, num_steps: int = 1000, learning_rate: float = 1e-3) -> NetworkAlternative:
    """Trained on stretches of 36 frames, so little more than a second, of which the first four are not predicted."""
    return NetworkAlternative(
        name="log-mel LSTM",
        build=NextFrame,
        min_frames=FIRST_FRAMES + 1,
        num_steps=num_steps,
        batch_stretches=BATCH,
        stretch_frames=STRETCH,
        learning_rate=learning_rate,
    )
