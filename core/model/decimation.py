"""Keeps every n-th sample of a low-passed waveform, so that a network hears the lower part of what was recorded.

The filter is causal: a sample depends on those before it alone, so a clip's last samples need no sound after its end.
It delays all frequencies by half its length, NUM_TAPS / 2 samples of the lower rate.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from core.data.audio import Waveform

NUM_TAPS = 128
"""Of the filter, in samples of the lower rate. With 32 the highest fifth of what the network hears was attenuated."""
PASSED = 0.95
"""Share of the lower rate's frequencies at which the response has fallen to a half."""
KAISER_BETA = 6.0
"""Of the filter's window: what is folded back is attenuated by some 60 dB."""


def decimate(waveform: Waveform, factor: int) -> Waveform:
    """(..., T) to (..., T // factor) float32; samples before the first count as 0. A factor of 1 changes nothing."""
    if factor == 1:
        return waveform
    from scipy import signal  # here, because --help and a survey should not wait for it

    num_samples = waveform.shape[-1] // factor
    kept: Waveform = signal.upfirdn(low_pass(factor), waveform, down=factor, axis=-1)[..., :num_samples]
    return kept.astype(np.float32, copy=False)


@lru_cache
def low_pass(factor: int) -> npt.NDArray[np.float32]:
    """(NUM_TAPS * factor + 1,): the filter at the higher rate."""
    from scipy import signal

    taps: npt.NDArray[np.float32] = signal.firwin(
        NUM_TAPS * factor + 1, PASSED / factor, window=("kaiser", KAISER_BETA)
    ).astype(np.float32)
    return taps
