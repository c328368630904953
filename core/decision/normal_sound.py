"""How far a whole clip is from its machine's normal sound: statistics in groups, each in its own standard deviations.

N clips, C channels, D statistics of a clip: the mean over its frames of every statistic of core/model/frame_statistics,
and for bands also how unsteady they are (`colour changes`, `spectrum changes`: a missing pulse, a loose part), which is
how badly their frames, less the clip's mean, follow from those around them (core/decision/interpolation.py).

    1  distance of a group    root mean square over channels and statistics of (value - normal value) / spread
    2  its sigmas             (log distance - mean) / deviation, over healthy takes that were left out
    3  score of the clip      log of the mean over groups of exp(sigmas), standardised in the same way

Of changes and of impulses a fault makes more. So the sigmas of these groups (ONE_SIDED) are the mean of (value - normal
value) / spread itself, and a clip that is steadier than usual is not strange for it.

The normal value is the mean of those takes of the machine that are nearest to the clip, NEAREST_TAKES of them, in each
group: a machine that runs in several ways is normal in each of them, and not half-way between. The spread is the
variance between the machine's takes plus the variance between the clips of a take. Few takes say little about how takes
differ. So the first is pooled with that of the other machines, which counts as PRIOR_TAKES more takes, and that one
with what is usual for machines (HEALTHY_DEVIATIONS), which counts as many more. The second is of all machines.

Step 2 leaves each take out in turn and measures it by the others, so what differs between healthy takes does not count
as a fault. Step 3 is close to the highest of the groups where one stands out, and to their mean where none does. No
anomalous recording is needed anywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from core.decision.interpolation import Interpolator, fit_interpolator
from core.decision.standard import PRIOR_TAKES, Standard, standard_of
from core.model.frame_statistics import FrameVectors, statistic_groups

Array = npt.NDArray[np.float64]
Bands = npt.NDArray[np.float32]
Rows = npt.NDArray[np.bool_]

IN_BANDS = ("colour", "spectrum")
CHANGES = {f"{name} changes": name for name in IN_BANDS}
"""Groups of one log error of interpolation a channel, and those of their bands."""
ONE_SIDED = (*CHANGES, "impulses")
HEALTHY_DEVIATIONS = {
    "likelihood": 0.05,
    "colour": 0.2,
    "colour changes": 0.07,
    "whiteness": 0.04,
    "impulses": 0.05,
    "spectrum": 0.25,
    "spectrum changes": 0.07,
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
NEAREST_TAKES = 3
LEAST_DISTANCE = 0.1
"""Added before the logarithm: takes that are alike by chance are not infinitely close."""


def clip_means(frames: FrameVectors) -> dict[str, Array]:
    """(N, C, F, K) to (N, C, statistics) by group of core/model/frame_statistics. F must be at least 1."""
    values = frames.astype(np.float64)
    return {name: values[..., place].mean(axis=2) for name, place in statistic_groups(frames.shape[1]).items()}


def changing_bands(frames: FrameVectors, group: str) -> Bands:
    """(N, C, F, K) to the bands (N, C, F, B) of a group of CHANGES, less their mean over the clip."""
    bands = frames[..., statistic_groups(frames.shape[1])[CHANGES[group]]].astype(np.float32)
    changing: Bands = bands - bands.mean(axis=2, keepdims=True)
    return changing


@dataclass(frozen=True, kw_only=True, eq=False)
class NormalSound:
    """The normal sound of every machine. Groups are in the order of `standards`, without the last one, `score`."""

    takes: Mapping[str, Mapping[str, Array]]
    """By machine and group, (takes, C, statistics): the means of the clips of each take."""
    spreads: Mapping[str, Mapping[str, Array]]
    """By machine and group, (C, statistics)."""
    standards: Mapping[str, Standard]
    """By group: of its strangeness. Last, SCORE."""
    interpolators: Mapping[str, Interpolator]
    """By group of CHANGES."""

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(name for name in self.standards if name != SCORE)

    def vectors(self, frames: FrameVectors) -> dict[str, Array]:
        """(N, C, F, K) to (N, C, statistics) by group."""
        means = clip_means(frames)
        return {name: self._log_errors(frames, name) if name in CHANGES else means[name] for name in self.groups}

    def _log_errors(self, frames: FrameVectors, group: str) -> Array:
        return self.interpolators[group].log_errors(changing_bands(frames, group))[..., None]

    def deviations(self, vectors: Mapping[str, Array], machine: str) -> dict[str, Array]:
        """(N, C, statistics) by group: in spreads from the normal value."""
        takes, spreads = self.takes[machine], self.spreads[machine]
        return {name: _deviations(vectors[name], takes[name], spreads[name]) for name in self.groups}

    def group_sigmas(self, deviations: Mapping[str, Array]) -> Array:
        """(N, C, statistics) by group to (N, groups)."""
        columns = [self.standards[name].sigmas(strangeness(name, each)) for name, each in deviations.items()]
        return np.stack(columns, axis=-1)

    def scores(self, deviations: Mapping[str, Array]) -> Array:
        """(N, C, statistics) by group to (N,) in sigmas."""
        return self.standards[SCORE].sigmas(combined(self.group_sigmas(deviations)))


def _deviations(values: Array, takes: Array, spread: Array) -> Array:
    """(N, C, statistics) from the mean of the nearest of (takes, C, statistics), in spreads."""
    # Take by take, so that memory does not grow with their number.
    distances = np.stack([np.square((values - take) / spread).sum(axis=(1, 2)) for take in takes], axis=1)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :NEAREST_TAKES]
    deviations: Array = (values - takes[nearest].mean(axis=1)) / spread
    return deviations


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
    vectors, interpolators, of_takes = clip_means(frames), {}, list(zip(machines, takes, strict=True))
    for name in CHANGES.keys() & set(groups):
        bands = changing_bands(frames, name)
        interpolators[name], log_errors = fit_interpolator(bands, of_takes, frame_ms=frame_ms)
        vectors[name] = log_errors[..., None]
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
    healthy = _Healthy.of(vectors, machines, takes, usual)
    left_out = healthy.left_out(vectors)

    def standard(name: str, deviations: Array) -> Standard:
        if name in ONE_SIDED:
            return DEVIATION_ITSELF
        distances, usual_deviation = log_distance(deviations), USUAL_DISTANCE_DEVIATION
        return standard_of(distances, freedom=healthy.freedom, usual_mean=USUAL_MEAN, usual_deviation=usual_deviation)

    standards = {name: standard(name, each) for name, each in left_out.items()}
    plain = NormalSound(
        takes={machine: healthy.means_of_takes(machine) for machine in healthy.machines},
        spreads={machine: healthy.spreads_of(machine) for machine in healthy.machines},
        standards=standards,
        interpolators={},
    )
    score = standard_of(combined(plain.group_sigmas(left_out)), freedom=healthy.freedom, usual_mean=USUAL_MEAN)
    normal = replace(plain, standards=standards | {SCORE: score})
    return LeftOut(normal=normal, deviations=left_out, scores=normal.scores(left_out))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Take:
    """The clips of a healthy take."""

    machine: str
    rows: Rows
    """(N,): which clips they are."""
    means: Mapping[str, Array]
    """By group, (C, statistics)."""
    squares: Mapping[str, Array]
    """By group, (C, statistics): the sum of the squared distances from the mean."""

    @classmethod
    def of(cls, machine: str, rows: Rows, vectors: Mapping[str, Array]) -> "_Take":
        means = {name: values[rows].mean(axis=0) for name, values in vectors.items()}
        squares = {name: np.square(values[rows] - means[name]).sum(axis=0) for name, values in vectors.items()}
        return cls(machine=machine, rows=rows, means=means, squares=squares)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Healthy:
    """Healthy takes, in the order of their machines and names."""

    takes: Sequence[_Take]
    usual: Mapping[str, float]

    @classmethod
    def of(
        cls, vectors: Mapping[str, Array], machines: Sequence[str], takes: Sequence[str], usual: Mapping[str, float]
    ) -> "_Healthy":
        keys = list(zip(machines, takes, strict=True))
        found = [_Take.of(key[0], np.array([each == key for each in keys]), vectors) for key in sorted(set(keys))]
        return cls(takes=found, usual=usual)

    @property
    def machines(self) -> list[str]:
        return sorted({take.machine for take in self.takes})

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the variance between takes: two takes of a machine have one difference."""
        return len(self.takes) - len(self.machines)

    def means_of_takes(self, machine: str) -> dict[str, Array]:
        """(takes, C, statistics) by group."""
        own = [take.means for take in self.takes if take.machine == machine]
        return {name: np.stack([means[name] for means in own]) for name in own[0]}

    def spreads_of(self, machine: str) -> dict[str, Array]:
        """(C, statistics) by group. The variance between the clips of a take, of which more is known, is pooled with
        the group's mean alone."""
        means = {each: self.means_of_takes(each) for each in self.machines}
        within, own = self._within(), means.pop(machine)
        spreads = {}
        for name, values in own.items():
            usual = _between([others[name] for others in means.values()], self.usual[name] ** 2)
            spreads[name] = np.sqrt(_between([values], usual) + within[name])
        return spreads

    def _within(self) -> dict[str, Array]:
        """By group: the variance between the clips of a take."""
        freedom = max(1, sum(int(take.rows.sum()) - 1 for take in self.takes))
        found = {}
        for name in self.takes[0].squares:
            variance = np.sum([take.squares[name] for take in self.takes], axis=0) / freedom
            found[name] = (variance + variance.mean()) / 2
        return found

    def left_out(self, vectors: Mapping[str, Array]) -> dict[str, Array]:
        """Deviations of every clip by the other takes, (N, C, statistics) by group.

        A machine with a single take is measured by that take itself.
        """
        deviations = {name: np.empty_like(values) for name, values in vectors.items()}
        for take in self.takes:
            others = replace(self, takes=[each for each in self.takes if each is not take])
            others = others if take.machine in others.machines else self
            takes, spreads = others.means_of_takes(take.machine), others.spreads_of(take.machine)
            for name, values in vectors.items():
                deviations[name][take.rows] = _deviations(values[take.rows], takes[name], spreads[name])
        return deviations


def _between(takes: Sequence[Array], usual: Array | float) -> Array | float:
    """The variance between takes, (takes, C, statistics) of each machine, pooled with a usual one."""
    squares = sum(np.square(each - each.mean(axis=0)).sum(axis=0) for each in takes)
    pooled: Array | float = (squares + PRIOR_TAKES * usual) / (sum(len(each) - 1 for each in takes) + PRIOR_TAKES)
    return pooled
