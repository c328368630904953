"""How healthy takes of machines differ, and how far a clip is from those of its machine.

N clips, C channels. In each group of statistics the normal value of a clip is the mean of those takes of its machine
that are nearest to it, NEAREST_TAKES of them: a machine that runs in several ways is normal in each of them, and not
half-way between. The spread is the root of

    variance between the machine's takes + variance between the clips of a take

Few takes say little about how takes differ. So the first is pooled with that of the other machines, which counts as
PRIOR_TAKES more takes, and that one with what is usual for machines, which counts as many more. The second is of all
machines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from core.decision.standard import PRIOR_TAKES

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]

NEAREST_TAKES = 3


def deviations_from(values: Array, takes: Array, spread: Array) -> Array:
    """(N, C, statistics) from the mean of the nearest of (takes, C, statistics), in spreads."""
    # Take by take, so that memory does not grow with their number.
    distances = np.stack([np.square((values - take) / spread).sum(axis=(1, 2)) for take in takes], axis=1)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :NEAREST_TAKES]
    deviations: Array = (values - takes[nearest].mean(axis=1)) / spread
    return deviations


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
class HealthyTakes:
    """Healthy takes, in the order of their machines and names."""

    takes: Sequence[_Take]
    usual: Mapping[str, float]
    """By group: the usual deviation between takes of a machine, in the group's units."""

    @classmethod
    def of(
        cls, vectors: Mapping[str, Array], machines: Sequence[str], takes: Sequence[str], usual: Mapping[str, float]
    ) -> "HealthyTakes":
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
                deviations[name][take.rows] = deviations_from(values[take.rows], takes[name], spreads[name])
        return deviations


def _between(takes: Sequence[Array], usual: Array | float) -> Array | float:
    """The variance between takes, (takes, C, statistics) of each machine, pooled with a usual one."""
    squares = sum(np.square(each - each.mean(axis=0)).sum(axis=0) for each in takes)
    pooled: Array | float = (squares + PRIOR_TAKES * usual) / (sum(len(each) - 1 for each in takes) + PRIOR_TAKES)
    return pooled
