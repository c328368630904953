"""How far a whole clip is from its machine's normal sound: statistics in groups, each in its own standard deviations.

N clips, C channels. What is measured of a clip is in core/decision/clip_statistics.py, the normal value and the spread
of each statistic in core/decision/take_spread.py, how statistics go together in core/decision/take_correlation.py.

    1  distance of a group    root mean square over channels and statistics of (value - normal value) / spread,
                              in groups of the sound itself decorrelated
    2  its sigmas             (log distance - mean) / deviation, over healthy takes that were left out
    3  score of the clip      log of the mean over groups of exp(sigmas), standardised in the same way

Of unsteadiness and of impulses a fault makes more. So the sigmas of these groups (ONE_SIDED) are the mean of (value -
normal value) / spread itself, and a clip that is steadier than usual is not strange for it.

Step 2 leaves each take out in turn and measures it by the others, so what differs between healthy takes does not count
as a fault. Step 3 is close to the highest of the groups where one stands out, and to their mean where none does. No
anomalous recording is needed anywhere.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from core.decision.clip_statistics import (
    CHANGES,
    change_statistics,
    changing_bands,
    interpolated_bands,
    unfitted_statistics,
)
from core.decision.interpolation import Interpolator, fit_interpolator
from core.decision.standard import Standard, standard_of
from core.decision.take_spread import HealthyTakes, deviations_from
from core.model.frame_statistics import FrameVectors

Array = npt.NDArray[np.float64]

FORMAT = 4
"""Raise it when the same clips give other scores by the same network."""
ONE_SIDED = (*CHANGES.values(), "impulses")
HEALTHY_DEVIATIONS = {
    "likelihood": 0.05,
    "colour": 0.2,
    "colour changes": 0.07,
    "colour changes by band": 0.15,
    "whiteness": 0.04,
    "impulses": 0.05,
    "spectrum": 0.25,
    "spectrum changes": 0.07,
    "spectrum changes by band": 0.15,
    "modulation": 0.15,
    "level": 1.5,
}
"""How far apart the means of healthy takes of one machine usually are, as a standard deviation in each group's units:
round values between those of the cars' and the fan's healthy takes, for the level more, which depends on how far away
the microphone was put."""
USUAL_MEAN = 0.0
"""Of a log distance, in nats, and of a score before its last step: a healthy take lies one spread from the mean."""
USUAL_DISTANCE_DEVIATION = 0.8
"""Of a group's log distance between healthy takes, in nats: the upper end of what groups had on 10 takes of the fan, so
that one odd group is no alarm. With 0.4 18 % of healthy validation clips are above two sigmas in place of 7 %."""
SCORE = "score"
"""The standard of a clip's score before its last step."""
DEVIATION_ITSELF = Standard(mean=0.0, deviation=1.0)
GROUP_VALUES = 2**22
"""Statistics of frames that are measured at once, 40 bytes each with what is computed of them."""
LEAST_DISTANCE = 0.1
"""Added before the logarithm: takes that are alike by chance are not infinitely close."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NormalSound:
    """The normal sound of every machine. Groups are in the order of `standards`, without the last one, `score`."""

    takes: Mapping[str, Mapping[str, Array]]
    """By machine and group, (takes, C, statistics): the means of the clips of each take."""
    spreads: Mapping[str, Mapping[str, Array]]
    """By machine and group, (C, statistics)."""
    decorrelations: Mapping[str, Array]
    """By group of DECORRELATED, (statistics, statistics)."""
    standards: Mapping[str, Standard]
    """By group: of its strangeness. Last, SCORE."""
    interpolators: Mapping[str, Interpolator]
    """By group of bands whose changes count."""

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(name for name in self.standards if name != SCORE)

    def vectors(self, frames: FrameVectors) -> dict[str, Array]:
        """(N, C, F, K) to (N, C, statistics) by group."""
        parts = [self._vectors(part) for part in np.array_split(frames, math.ceil(frames.size / GROUP_VALUES) or 1)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.groups}

    def _vectors(self, frames: FrameVectors) -> dict[str, Array]:
        exact = frames.astype(np.float32)
        vectors = unfitted_statistics(exact, self.groups)
        for name, interpolator in self.interpolators.items():
            vectors |= change_statistics(name, interpolator.log_errors(changing_bands(exact, name)))
        return vectors

    def deviations(self, vectors: Mapping[str, Array], machine: str) -> dict[str, Array]:
        """(N, C, statistics) by group: in spreads from the normal value, some of them decorrelated."""
        takes, spreads = self.takes[machine], self.spreads[machine]
        return {
            name: deviations_from(vectors[name], takes[name], spreads[name], self.decorrelations.get(name))
            for name in self.groups
        }

    def group_sigmas(self, deviations: Mapping[str, Array]) -> Array:
        """(N, C, statistics) by group to (N, groups)."""
        columns = [self.standards[name].bounded_sigmas(strangeness(name, each)) for name, each in deviations.items()]
        return np.stack(columns, axis=-1)

    def scores(self, deviations: Mapping[str, Array]) -> Array:
        """(N, C, statistics) by group to (N,) in sigmas."""
        return self.standards[SCORE].sigmas(combined(self.group_sigmas(deviations)))


def strangeness(group: str, deviations: Array) -> Array:
    """(N, C, statistics) of a group to (N,): its log distance, or its mean deviation."""
    return deviations.mean(axis=(1, 2)) if group in ONE_SIDED else log_distance(deviations)


def log_distance(deviations: Array) -> Array:
    """(N, C, statistics) to (N,)."""
    distance: Array = np.log(np.sqrt(np.square(deviations).mean(axis=(1, 2))) + LEAST_DISTANCE)
    return distance


def combined(sigmas: Array) -> Array:
    """(N, groups) to (N,)."""
    score: Array = np.log(np.exp(sigmas).mean(axis=-1))
    return score


def fit_normal_sound(
    frames: FrameVectors, machines: Sequence[str], takes: Sequence[str], *, groups: Sequence[str], frame_ms: float
) -> NormalSound:
    """Fits healthy clips (N, C, F, K) of these machines and takes, by the statistics of these groups."""
    return compare_healthy(frames, machines, takes, groups=groups, frame_ms=frame_ms).normal


@dataclass(frozen=True, kw_only=True, eq=False)
class LeftOut:
    """Healthy clips, each compared with the other takes of its machine."""

    normal: NormalSound
    """Of all takes."""
    deviations: Mapping[str, Array]
    """(N, C, statistics) by group."""
    scores: Array
    """(N,) in sigmas."""


def compare_healthy(
    frames: FrameVectors, machines: Sequence[str], takes: Sequence[str], *, groups: Sequence[str], frame_ms: float
) -> LeftOut:
    """How strange each take of healthy clips (N, C, F, K) is to the others of its machine."""
    exact, interpolators, of_takes = frames.astype(np.float32), {}, list(zip(machines, takes, strict=True))
    vectors = unfitted_statistics(exact, groups)
    for name in interpolated_bands(groups):
        interpolators[name], log_errors = fit_interpolator(changing_bands(exact, name), of_takes, frame_ms=frame_ms)
        vectors |= change_statistics(name, log_errors)
    left_out = fit_vectors({name: vectors[name] for name in groups}, machines, takes)
    return replace(left_out, normal=replace(left_out.normal, interpolators=interpolators))


def fit_vectors(
    vectors: Mapping[str, Array],
    machines: Sequence[str],
    takes: Sequence[str],
    *,
    usual: Mapping[str, float] = HEALTHY_DEVIATIONS,
) -> LeftOut:
    """Fits (N, C, statistics) of healthy clips by group; `usual` are the groups' HEALTHY_DEVIATIONS."""
    healthy = HealthyTakes.of(vectors, machines, takes, usual)
    left_out = healthy.left_out(vectors)

    def standard(name: str, deviations: Array) -> Standard:
        if name in ONE_SIDED:
            return DEVIATION_ITSELF
        distances, usual_deviation = log_distance(deviations), USUAL_DISTANCE_DEVIATION
        return standard_of(distances, freedom=healthy.freedom, usual_mean=USUAL_MEAN, usual_deviation=usual_deviation)

    standards = {name: standard(name, each) for name, each in left_out.items()}
    plain = NormalSound(
        takes={machine: healthy.means_of(machine) for machine in healthy.places},
        spreads={machine: healthy.spreads_of(machine) for machine in healthy.places},
        decorrelations=healthy.decorrelations(),
        standards=standards,
        interpolators={},
    )
    score = standard_of(combined(plain.group_sigmas(left_out)), freedom=healthy.freedom, usual_mean=USUAL_MEAN)
    normal = replace(plain, standards=standards | {SCORE: score})
    return LeftOut(normal=normal, deviations=left_out, scores=normal.scores(left_out))
