"""What WaveNet has to beat. Scores of clips (N, C, T) without a network, higher is stranger."""

import numpy as np
import numpy.typing as npt

from core.audio import Waveform


def loudness_scores(waveforms: Waveform) -> npt.NDArray[np.float64]:
    """(N,) level of each clip in dB re full scale, over all channels: the detector that only hears loudness.

    A silent clip scores -inf.
    """
    power = np.mean(np.square(waveforms, dtype=np.float64), axis=(1, 2))
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(power))
