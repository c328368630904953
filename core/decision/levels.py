"""How loud clips are, compared with the clips that a detector was calibrated on.

The network hears every clip at the same level (`core/model/frontend.py`), so it does not notice that a microphone is
dead: it hears the noise of the last bit, amplified. The level of the waveform before the front end shows it.

A level is the RMS of a clip's channel around its mean, in dB re full scale 1.0 (a sine at full scale has -3.01 dBFS).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.data.audio import Waveform
from core.data.clips import ClipSet
from core.errors import UserError

LevelsDbfs = npt.NDArray[np.float64]

FAR_DB = 20.0
"""A level that is so far outside the range gets a warning. Takes of one car or fan with one recorder differ by 9 dB at
most (65 recordings)."""
DEAD_DB = 40.0
"""A microphone that is so far below the range is dead: the noise of the last of 16 bits has -96 dBFS, 50 dB less than
those 65 recordings. A recorder with a lower gain can still be judged, since the front end matches levels."""
LEAST_DBFS = -200.0
"""The level of silence. 24 bits reach down to -144 dBFS."""


@dataclass(frozen=True, kw_only=True)
class LevelRange:
    """Levels of one channel over all calibration clips of one machine."""

    quietest_dbfs: float
    loudest_dbfs: float

    def __post_init__(self) -> None:
        if not LEAST_DBFS <= self.quietest_dbfs <= self.loudest_dbfs <= -LEAST_DBFS:
            raise UserError(
                f"A range of levels must ascend within {LEAST_DBFS:g} to {-LEAST_DBFS:g} dBFS, "
                f"but got {self.quietest_dbfs} to {self.loudest_dbfs}."
            )


@dataclass(frozen=True, kw_only=True)
class LevelWarning:
    """Some channels of a recording are far quieter, or far louder, than every calibration clip."""

    microphones: tuple[int, ...]
    """From 1."""
    excess_db: float
    """The furthest of all their clips: above 0 over the loudest calibration clip, below 0 under the quietest."""
    num_clips: int
    """Clips of the recording that are far outside on this side, of the microphone that has most of them."""
    is_in_every_clip: bool
    """Whether those are all of them."""
    dead_microphones: tuple[int, ...]
    """From 1: those that are DEAD_DB or more below the range in every clip."""

    @property
    def is_too_quiet(self) -> bool:
        return self.excess_db < 0

    def describe(self, *, num_clips: int, num_channels: int) -> str:
        """For people; `num_clips` and `num_channels` are the recording's."""
        side = "below the quietest" if self.is_too_quiet else "above the loudest"
        question = "a dead microphone?" if self.is_too_quiet else "another gain?"
        plural = "s" if len(self.microphones) > 1 else ""
        where = f"microphone{plural} {', '.join(map(str, self.microphones))}: " if num_channels > 1 else ""
        part = "" if self.is_in_every_clip else f" in {self.num_clips} of {num_clips} clips"
        return f"{where}level {abs(self.excess_db):.0f} dB {side} training clip{part}: {question}"


def clip_levels(waveforms: Waveform) -> LevelsDbfs:
    """(N, C, T) to (N, C), never below LEAST_DBFS. NaN where a sample is NaN."""
    # Clip by clip, so that only one is held in double precision.
    powers = [np.var(waveform, axis=-1, dtype=np.float64) for waveform in waveforms]
    levels: LevelsDbfs = np.maximum(10 * np.log10(np.maximum(powers, 1e-300)), LEAST_DBFS)
    return levels


def level_ranges(clips: ClipSet) -> dict[str, tuple[LevelRange, ...]]:
    """By machine, of each channel over the machine's clips."""
    levels, machines = clip_levels(clips.waveforms), np.array(clips.machines)
    return {
        machine: tuple(
            LevelRange(quietest_dbfs=float(channel.min()), loudest_dbfs=float(channel.max()))
            for channel in levels[machines == machine].T
        )
        for machine in sorted(set(clips.machines))
    }


def level_warnings(
    levels: LevelsDbfs, ranges: tuple[LevelRange, ...], microphones: tuple[int, ...]
) -> tuple[LevelWarning, ...]:
    """Warnings about a recording with levels (K, C) of K clips: none, or one for each side. `microphones` are the
    numbers of the C channels."""
    below = levels - [normal.quietest_dbfs for normal in ranges]
    above = levels - [normal.loudest_dbfs for normal in ranges]
    numbers = np.array(microphones)
    dead = numbers[(below <= -DEAD_DB).all(axis=0)]
    sides = ((below < -FAR_DB, float(below.min()), dead), (above > FAR_DB, float(above.max()), numbers[:0]))
    return tuple(_warning(is_outside, worst, numbers, dead) for is_outside, worst, dead in sides if is_outside.any())


def _warning(
    is_outside: npt.NDArray[np.bool_], worst: float, numbers: npt.NDArray[np.int_], dead: npt.NDArray[np.int_]
) -> LevelWarning:
    """`is_outside` is (K, C)."""
    num_clips = int(is_outside.sum(axis=0).max())
    return LevelWarning(
        microphones=tuple(numbers[is_outside.any(axis=0)].tolist()),
        excess_db=worst,
        num_clips=num_clips,
        is_in_every_clip=num_clips == len(is_outside),
        dead_microphones=tuple(dead.tolist()),
    )
