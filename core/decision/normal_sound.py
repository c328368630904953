"""How far a whole clip is from its machine's normal sound: statistics in groups, each in its own standard deviations.

N clips, C channels, D statistics of a clip: the mean over its frames of every statistic of core/model/frame_statistics,
and for bands also the log of the deviation over its frames (`colour changes`, `spectrum changes`: a missing pulse or a
loose part changes how much a band fluctuates).

    1  distance of a group    root mean square over channels and statistics of (value - machine's mean) / spread
    2  its sigmas             (log distance - mean) / deviation, over healthy takes that were left out
    3  score of the clip      log of the mean over groups of exp(sigmas), standardised in the same way

A machine's mean is that of its takes. The spread is the same for all machines: the variance between takes plus the
variance between the clips of a take, pooled. Two takes of a machine say little about how takes differ; those of all
machines say more. Step 2 leaves each take out in turn and measures it by the others, so what differs between healthy
takes does not count as a fault. Step 3 is close to the highest of the groups where one stands out, and to their mean
where none does. No anomalous recording is needed anywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.decision.standard import Standard, standard_of
from core.model.frame_statistics import FrameVectors, statistic_groups

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]

FLUCTUATING = ("colour", "spectrum")
"""Groups whose deviation over time is a group of its own."""
LEAST_SPREAD = 1e-3
PRIOR_FREEDOM = 6
"""A variance over few takes is pooled with the mean variance of its group, which counts as so many degrees of freedom.
Otherwise one of many statistics has hardly any spread by chance, and every new take is far from normal by it."""
LEAST_DISTANCE = 1e-3


def clip_vectors(frames: FrameVectors) -> dict[str, Array]:
    """(N, C, F, K) to (N, C, statistics) by group. F must be at least 1; the deviation of one frame is 0."""
    values = frames.astype(np.float64)
    groups = statistic_groups(frames.shape[1])
    vectors = {name: values[..., place].mean(axis=2) for name, place in groups.items()}
    changes = {f"{name} changes": np.log(values[..., groups[name]].std(axis=2) + 1e-2) for name in FLUCTUATING}
    return vectors | changes


@dataclass(frozen=True, kw_only=True, eq=False)
class NormalSound:
    """The normal sound of every machine. Groups are in the order of `standards`, without the last one, `score`."""

    means: Mapping[str, Mapping[str, Array]]
    """By machine and group, (C, statistics)."""
    spreads: Mapping[str, Array]
    """By group, (C, statistics)."""
    standards: Mapping[str, Standard]
    """By group: of the log distance. `score`: of the clip's score before its last step."""

    def deviations(self, vectors: Mapping[str, Array], machine: str) -> dict[str, Array]:
        """(N, C, statistics) by group: in spreads from the machine's mean."""
        return {name: (vectors[name] - self.means[machine][name]) / spread for name, spread in self.spreads.items()}

    def group_sigmas(self, deviations: Mapping[str, Array]) -> Array:
        """(N, C, statistics) by group to (N, groups)."""
        columns = [self.standards[name].sigmas(log_distance(each)) for name, each in deviations.items()]
        return np.stack(columns, axis=-1)

    def scores(self, deviations: Mapping[str, Array]) -> Array:
        """(N, C, statistics) by group to (N,) in sigmas."""
        return self.standards["score"].sigmas(combined(self.group_sigmas(deviations)))


def log_distance(deviations: Array) -> Array:
    """(N, C, statistics) to (N,)."""
    distance: Array = np.log(np.sqrt(np.square(deviations).mean(axis=(1, 2))) + LEAST_DISTANCE)
    return distance


def combined(sigmas: Array) -> Array:
    """(N, groups) to (N,)."""
    score: Array = np.log(np.exp(sigmas).mean(axis=-1))
    return score


def fit_normal_sound(
    frames: FrameVectors, machines: Sequence[str], takes: Sequence[str], *, groups: Sequence[str]
) -> NormalSound:
    """Fits healthy clips (N, C, F, K) of these machines and takes, by the statistics of these groups."""
    vectors = {name: values for name, values in clip_vectors(frames).items() if name in groups}
    healthy = _Healthy(vectors=vectors, machines=np.array(machines), takes=np.array(takes))
    means, spreads = healthy.means(), healthy.spreads()
    left_out = healthy.left_out()
    num_takes = healthy.num_takes
    standards = {name: standard_of(log_distance(each), num_takes=num_takes) for name, each in left_out.items()}
    plain = NormalSound(means=means, spreads=spreads, standards=standards)
    score = standard_of(combined(plain.group_sigmas(left_out)), num_takes=num_takes)
    return NormalSound(means=means, spreads=spreads, standards=standards | {"score": score})


@dataclass(frozen=True, kw_only=True, eq=False)
class _Healthy:
    """Healthy clips with the machine and the take of each."""

    vectors: Mapping[str, Array]
    machines: npt.NDArray[np.str_]
    takes: npt.NDArray[np.str_]

    @property
    def num_takes(self) -> int:
        return len(set(zip(self.machines, self.takes, strict=True)))

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the variance between takes."""
        return self.num_takes - len(set(self.machines))

    def without(self, rows: Rows) -> "_Healthy":
        vectors = {name: values[~rows] for name, values in self.vectors.items()}
        return _Healthy(vectors=vectors, machines=self.machines[~rows], takes=self.takes[~rows])

    def means(self) -> dict[str, dict[str, Array]]:
        """By machine and group: the mean of its takes' means."""
        of_takes = {machine: self._means_of_takes(machine) for machine in sorted(set(self.machines))}
        return {
            machine: {name: values.mean(axis=0) for name, values in of_take.items()}
            for machine, of_take in of_takes.items()
        }

    def _means_of_takes(self, machine: str) -> dict[str, Array]:
        """(takes, C, statistics) by group."""
        own = self.machines == machine
        takes = [own & (self.takes == take) for take in sorted(set(self.takes[own]))]
        return {name: np.stack([values[rows].mean(axis=0) for rows in takes]) for name, values in self.vectors.items()}

    def spreads(self) -> dict[str, Array]:
        """By group: the root of the variance between takes plus that between the clips of a take, over all machines,
        shrunk towards the group's mean."""
        of_takes = [self._means_of_takes(machine) for machine in sorted(set(self.machines))]
        spreads = {}
        for name, values in self.vectors.items():
            between = _pooled_variance([each[name] for each in of_takes])
            keys = sorted(set(zip(self.machines, self.takes, strict=True)))
            within = _pooled_variance([values[(self.machines == m) & (self.takes == t)] for m, t in keys])
            variance = between + within
            shared = PRIOR_FREEDOM * variance.mean()
            spreads[name] = np.sqrt((self.freedom * variance + shared) / (self.freedom + PRIOR_FREEDOM)) + LEAST_SPREAD
        return spreads

    def left_out(self) -> dict[str, Array]:
        """Deviations of every clip by the other takes, (N, C, statistics) by group.

        Where the others do not tell how takes differ, the spread is that of all. A machine with a single take is
        measured by that take itself, which makes distances of new takes look larger.
        """
        deviations = {name: np.empty_like(values) for name, values in self.vectors.items()}
        for machine, take in sorted(set(zip(self.machines, self.takes, strict=True))):
            rows = (self.machines == machine) & (self.takes == take)
            has_others = (self.machines[~rows] == machine).any()
            others = self.without(rows) if has_others else self
            means = others.means()[machine]
            spreads = others.spreads() if others.freedom else self.spreads()
            for name, values in self.vectors.items():
                deviations[name][rows] = (values[rows] - means[name]) / spreads[name]
        return deviations


def _pooled_variance(groups: Sequence[Array]) -> Array:
    """The variance within groups of rows, pooled; 0 where no group has two rows."""
    squares = np.sum([np.square(group - group.mean(axis=0)).sum(axis=0) for group in groups], axis=0)
    variance: Array = squares / max(1, sum(len(group) - 1 for group in groups))
    return variance
