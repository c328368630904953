"""What is measured of a whole clip, in groups: the mean over its frames of every statistic of frame_statistics.py, and
of the bands also how they change.

    colour changes, spectrum changes    how badly frames follow from those around them (interpolation.py), in the mean
                                        over bands: a missing pulse, a loose part
    ... by band                         the same in each band: a squeak, a knock that rings at one frequency
    modulation                          how strongly and how fast the spectrum swells and fades (modulation.py)

N clips, C channels, F frames, K statistics of a frame, B bands.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.decision.modulation import modulation
from core.model.frame_statistics import statistic_groups

Array = npt.NDArray[np.float64]
Frames = npt.NDArray[np.float32]
"""(N, C, F, K): FrameVectors in a type that is faster to compute with."""
Bands = npt.NDArray[np.float32]

IN_BANDS = ("colour", "spectrum")
CHANGES = {name: f"{name} changes" for name in IN_BANDS}
"""By group of bands: the group of one log error of interpolation a channel."""
CHANGES_BY_BAND = {name: f"{name} changes by band" for name in IN_BANDS}
"""By group of bands: that of one a band."""
MODULATION = "modulation"
INTERPOLATED = (*CHANGES.values(), *CHANGES_BY_BAND.values())
"""Groups for which an interpolation is fitted."""
OF_CHANGES = (*INTERPOLATED, MODULATION)
"""Groups that depend on how long a clip is, too: only stretches of one length can be compared by them."""


def unfitted_statistics(frames: Frames, groups: Sequence[str]) -> dict[str, Array]:
    """(N, C, F, K) to (N, C, statistics) by group: of all groups but INTERPOLATED. F must be at least 1."""
    places = statistic_groups(frames.shape[1])

    def of_group(name: str) -> Array:
        if name == MODULATION:
            return modulation(changing_bands(frames, "spectrum"))
        means: Array = frames[..., places[name]].mean(axis=2, dtype=np.float64)
        return means

    return {name: of_group(name) for name in groups if name not in INTERPOLATED}


def interpolated_bands(groups: Sequence[str]) -> list[str]:
    """The groups of bands whose changes are among these groups."""
    return [name for name in IN_BANDS if {CHANGES[name], CHANGES_BY_BAND[name]} & set(groups)]


def change_statistics(name: str, log_errors: Array) -> dict[str, Array]:
    """(N, C, B) of a group of IN_BANDS to (N, C, statistics) by group of INTERPOLATED."""
    return {CHANGES[name]: log_errors.mean(axis=-1, keepdims=True), CHANGES_BY_BAND[name]: log_errors}


def changing_bands(frames: Frames, group: str) -> Bands:
    """(N, C, F, K) to the bands (N, C, F, B) of a group of IN_BANDS, less their mean over the clip."""
    bands = frames[..., statistic_groups(frames.shape[1])[group]]
    changing: Bands = bands - bands.mean(axis=2, keepdims=True)
    return changing
