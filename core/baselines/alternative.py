"""The interface of every alternative to WaveNet: it learns from training clips, and then scores frames of others.

The scores are treated like WaveNet's: mu and sigma by machine, window, threshold, figures.
"""

from typing import Protocol

from core.data.audio import Waveform
from core.data.training_clips import ClipOrder
from core.model.scoring import Scores


class Scorer(Protocol):
    """A trained alternative."""

    @property
    def frame_ms(self) -> float:
        """The distance of two frames of scores, from start to start."""
        ...

    @property
    def first_s(self) -> float:
        """Where the first frame of scores begins in a clip."""
        ...

    @property
    def num_weights(self) -> int:
        """How many numbers were fitted."""
        ...

    def frame_scores(self, waveforms: Waveform) -> Scores:
        """(N, C, T) clips of any level to (N, C, F), finite; higher is less normal. Each clip is scored alone."""
        ...


class Alternative(Protocol):
    """A method that learns normal sound, with its fixed settings."""

    @property
    def name(self) -> str: ...

    @property
    def setup(self) -> tuple[str, ...]:
        """How it differs from its variants, in words."""
        ...

    @property
    def min_frames(self) -> int:
        """The least number of frames of a clip; they last 64 ms and begin every 32 ms."""
        ...

    def fit(self, order: ClipOrder, *, sample_rate_hz: int, seed: int) -> Scorer:
        """Learns from normal clips. The same seed gives the same scores, for the same number of PyTorch's threads."""
        ...
