"""What is measured of a whole clip, in groups: the mean over its frames of every statistic of frame_statistics.py, and
of the bands also how they change.

    colour changes, spectrum changes    how badly frames follow from those around them (interpolation.py): a missing
                                        pulse, a loose part
    modulation                          how strongly and how fast the spectrum swells and fades (modulation.py)

N clips, C channels, F frames, K statistics of a frame, B bands.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.decision.modulation import modulation
from core.model.frame_statistics import FrameVectors, statistic_groups

Array = npt.NDArray[np.float64]
Bands = npt.NDArray[np.float32]

IN_BANDS = ("colour", "spectrum")
CHANGES = {f"{name} changes": name for name in IN_BANDS}
"""Groups of one log error of interpolation a channel, and those of their bands."""
MODULATION = "modulation"
OF_CHANGES = (*CHANGES, MODULATION)
"""Groups that depend on how long a clip is, too: only stretches of one length can be compared by them."""


def unfitted_statistics(frames: FrameVectors, groups: Sequence[str]) -> dict[str, Array]:
    """(N, C, F, K) to (N, C, statistics) by group: of all groups but CHANGES, for which an interpolation is fitted. F
    must be at least 1."""
    places = statistic_groups(frames.shape[1])

    def of_group(name: str) -> Array:
        if name == MODULATION:
            return modulation(changing_bands(frames, "spectrum"))
        means: Array = frames[..., places[name]].mean(axis=2, dtype=np.float64)
        return means

    return {name: of_group(name) for name in groups if name not in CHANGES}


def changing_bands(frames: FrameVectors, group: str) -> Bands:
    """(N, C, F, K) to the bands (N, C, F, B) of a group of IN_BANDS, less their mean over the clip."""
    bands = frames[..., statistic_groups(frames.shape[1])[group]].astype(np.float32)
    changing: Bands = bands - bands.mean(axis=2, keepdims=True)
    return changing
