"""How strongly the bands of a clip swell and fade, and how fast: their modulation spectrum, in octaves.

N clips, C channels, F frames, B bands of log energy. The highest octave ends at half the frame rate, so with 25 ms a
frame the octaves are 1.25 to 2.5, 2.5 to 5, 5 to 10 and 10 to 20 Hz. What a machine does again and again, a valve's
strokes or the turns of a shaft, has its place there, whatever its bands.

    octave = log(mean over bands and the octave's bins of |Fourier transform of (band - its mean over the clip)|^2)

The clip is tapered by a window of unit energy, and SMALLEST is added before the logarithm.
"""

import numpy as np
import numpy.typing as npt
from scipy.fft import rfft

Array = npt.NDArray[np.float64]
Bands = npt.NDArray[np.floating]

NUM_OCTAVES = 4
SMALLEST = 1e-3
"""Added to energies, in squared nats."""


def modulation(bands: Bands) -> Array:
    """(N, C, F, B), less their means over the clip, to (N, C, NUM_OCTAVES), the slowest first. F must be at least 1.

    An octave that lies between two bins of so short a clip has the power of the nearest one. NaN stays NaN.
    """
    num_frames = bands.shape[2]
    taper = np.hanning(num_frames + 2)[1:-1]
    spectrum = rfft(bands * (taper / np.sqrt(np.square(taper).sum()))[:, None], axis=2)
    power = (np.square(spectrum.real) + np.square(spectrum.imag)).mean(axis=-1)
    edges = np.ceil(num_frames / 2.0 ** np.arange(NUM_OCTAVES + 1, 1, -1)).astype(int)
    firsts = np.minimum(edges, power.shape[2] - 1)
    ends = np.maximum([*edges[1:], power.shape[2]], firsts + 1)
    energies = [power[..., first:end].mean(axis=-1) for first, end in zip(firsts, ends, strict=True)]
    octaves: Array = np.log(np.stack(energies, axis=-1) + SMALLEST)
    return octaves
