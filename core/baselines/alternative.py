"""What every alternative to WaveNet is: something that learns from training clips and then scores frames of others.

What becomes of the scores (mu and sigma by machine, window, threshold, figures) is the same as for WaveNet's.
"""

from typing import Protocol

from core.data.audio import Waveform
from core.data.training_clips import ClipOrder
from core.model.scoring import Scores


class Scorer(Protocol):
    """An alternative that has learned."""

    @property
    def frame_ms(self) -> float:
        """From the beginning of one frame of scores to that of the next."""
        ...

    @property
    def first_s(self) -> float:
        """Where the first frame of scores begins in a clip."""
        ...

    @property
    def num_weights(self) -> int:
        """Numbers that were fitted."""
        ...

    def frame_scores(self, waveforms: Waveform) -> Scores:
        """(N, C, T) clips of any level to (N, C, F), finite, higher is stranger; a clip's scores are its own alone."""
        ...


class Alternative(Protocol):
    """A way to learn the normal sound, with all that is fixed of it."""

    @property
    def name(self) -> str: ...

    @property
    def setup(self) -> tuple[str, ...]:
        """What tells it from its variants, in words."""
        ...

    @property
    def min_frames(self) -> int:
        """Frames of 64 ms, one every 32 ms, that a clip must have."""
        ...

    def fit(self, order: ClipOrder, *, sample_rate_hz: int, seed: int) -> Scorer:
        """Learns from normal clips. The same seed gives the same scores, for the same number of PyTorch's threads."""
        ...
