"""An LSTM that predicts the next log-mel frame from all frames before it (Hayashi and others, 2018)."""

from torch import Tensor, nn

from core.baselines.network import FrameNetwork, NetworkAlternative

UNITS = 128
FIRST_FRAMES = 4
"""Frames that precede the first prediction."""
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
        """(M, L, B) to (M, L - 4): the error of each frame from the fifth on, predicted from the frames before it."""
        states, _ = self.memory(frames[:, :-1])
        guesses = self.guess(states[:, FIRST_FRAMES - 1 :])
        errors: Tensor = (guesses - frames[:, FIRST_FRAMES:]).square().mean(dim=-1)
        return errors


def lstm(*, num_steps: int = 1000, learning_rate: float = 1e-3) -> NetworkAlternative:
    """It trains on stretches of 36 frames, little more than a second; the first four are not predicted."""
    return NetworkAlternative(
        name="log-mel LSTM",
        build=NextFrame,
        min_frames=FIRST_FRAMES + 1,
        num_steps=num_steps,
        batch_stretches=BATCH,
        stretch_frames=STRETCH,
        learning_rate=learning_rate,
    )
