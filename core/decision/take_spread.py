"""How healthy takes of machines differ, and how far a clip is from those of its machine.

N clips, C channels, S statistics of a group. The normal value of a clip is, in each group, the mean of NEAREST_TAKES
takes of its machine, those nearest to it: a machine that runs in several ways is normal in each of them, and not
half-way between. The spread is the root of `between + within`:

    usual    = pooled(variance between takes of the other machines, usual variance of the group)
    between  = pooled(variance between takes of the machine, usual)
    within   = variance between the clips of a take, over all machines, half of it the group's mean over C and S

In spreads, deviations of some groups are decorrelated (take_correlation.py), by the takes of all machines and channels
together.

Few takes say little about how takes differ, so what is pooled with their variance counts as PRIOR_TAKES more takes.
With one machine `usual` is the usual variance alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from core.decision.standard import PRIOR_TAKES
from core.decision.take_correlation import DECORRELATED, decorrelation_of

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int_]

NEAREST_TAKES = 3


def deviations_from(values: Array, takes: Array, spread: Array, decorrelation: Array | None) -> Array:
    """(N, C, S) from the mean of the nearest of (takes, C, S), in spreads (C, S), times a decorrelation (S, S)."""
    distances = cdist(*((each / spread).reshape(len(each), -1) for each in (values, takes)), "sqeuclidean")
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :NEAREST_TAKES]
    deviations: Array = (values - takes[nearest].mean(axis=1)) / spread
    return deviations if decorrelation is None else deviations @ decorrelation


def _pooled(squares: Array, freedom: int, usual: Array | float) -> Array:
    """The variance of this sum of squares, pooled with a usual one."""
    pooled: Array = (squares + PRIOR_TAKES * usual) / (freedom + PRIOR_TAKES)
    return pooled


@dataclass(frozen=True, kw_only=True, eq=False)
class HealthyTakes:
    """T healthy takes, in the order of their machines and names."""

    machines: tuple[str, ...]
    """Of each take."""
    rows: Sequence[Rows]
    """The indices of each take's clips."""
    means: Mapping[str, Array]
    """By group, (T, C, S)."""
    squares: Mapping[str, Array]
    """By group, (T, C, S): the sum over the take's clips of the squared distance from its mean."""
    usual: Mapping[str, float]
    """By group: the usual deviation between takes of a machine."""

    @classmethod
    def of(
        cls, vectors: Mapping[str, Array], machines: Sequence[str], takes: Sequence[str], usual: Mapping[str, float]
    ) -> "HealthyTakes":
        """From (N, C, S) by group, and the machine and the take of each clip."""
        rows: dict[tuple[str, str], list[int]] = {}
        for index, take in enumerate(zip(machines, takes, strict=True)):
            rows.setdefault(take, []).append(index)
        of_takes = {take: np.array(rows[take]) for take in sorted(rows)}
        clips = {name: [values[own] for own in of_takes.values()] for name, values in vectors.items()}
        return cls(
            machines=tuple(machine for machine, _ in of_takes),
            rows=list(of_takes.values()),
            means={name: np.stack([each.mean(axis=0) for each in own]) for name, own in clips.items()},
            squares={name: np.stack([_squares(each) for each in own]) for name, own in clips.items()},
            usual=usual,
        )

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the variance between takes: two takes of a machine have one difference."""
        return len(self.machines) - len(set(self.machines))

    @cached_property
    def places(self) -> dict[str, Rows]:
        """By machine: the indices of its takes."""
        machines = np.array(self.machines)
        return {machine: np.flatnonzero(machines == machine) for machine in dict.fromkeys(self.machines)}

    def means_of(self, machine: str, *, without: int | None = None) -> dict[str, Array]:
        """By group, (takes, C, S); without this one."""
        own = [place for place in self.places[machine] if place != without]
        return {name: means[own] for name, means in self.means.items()}

    def spreads_of(self, machine: str, *, without: int | None = None) -> dict[str, Array]:
        """By group, (C, S); as if there were not this take of the machine."""
        num_own = len(self.places[machine])
        freedom_of_others = self.freedom - (num_own - 1)
        spreads = {}
        for name in self.means:
            own = self._scatters[name][machine]
            of_others = np.maximum(self._scatter[name] - own, 0)
            if without is not None:
                distance = self.means[name][without] - self.means[name][self.places[machine]].mean(axis=0)
                own = np.maximum(own - num_own / (num_own - 1) * np.square(distance), 0)
            freedom = num_own - 1 - (without is not None)
            between = _pooled(own, freedom, _pooled(of_others, freedom_of_others, self.usual[name] ** 2))
            spreads[name] = np.sqrt(between + self._within(name, without))
        return spreads

    def decorrelations(self, *, without: int | None = None) -> dict[str, Array]:
        """By group of DECORRELATED, (S, S); as if there were not this take, except in the spreads that all takes are
        measured in."""
        found = {}
        for name, products in self._products.items():
            if without is not None:
                own, num_own = self._residuals[name][without], len(self.places[self.machines[without]])
                products = products - num_own / (num_own - 1) * own.T @ own
            found[name] = decorrelation_of(products, self.freedom - (without is not None))
        return found

    @cached_property
    def _products(self) -> dict[str, Array]:
        """By group of DECORRELATED, (S, S): the sum over takes and channels of the products of their residuals."""
        return {name: np.tensordot(each, each, axes=((0, 1), (0, 1))) for name, each in self._residuals.items()}

    @cached_property
    def _residuals(self) -> dict[str, Array]:
        """By group of DECORRELATED, (T, C, S): how far takes are from the mean of their machine's, in spreads."""
        residuals = {name: means.copy() for name, means in self.means.items() if name in DECORRELATED}
        for machine, own in self.places.items():
            spreads = self.spreads_of(machine)
            for name, means in residuals.items():
                means[own] = (means[own] - means[own].mean(axis=0)) / spreads[name]
        return residuals

    @cached_property
    def _scatters(self) -> dict[str, dict[str, Array]]:
        """By group and machine, (C, S): the sum of squares of its takes' means."""
        return {
            name: {machine: _squares(means[own]) for machine, own in self.places.items()}
            for name, means in self.means.items()
        }

    @cached_property
    def _scatter(self) -> dict[str, Array]:
        """By group, (C, S): over all machines."""
        return {name: np.sum(list(of_machines.values()), axis=0) for name, of_machines in self._scatters.items()}

    @cached_property
    def _all_squares(self) -> dict[str, Array]:
        return {name: squares.sum(axis=0) for name, squares in self.squares.items()}

    def _within(self, name: str, without: int | None) -> Array:
        squares, freedom = self._all_squares[name], sum(map(len, self.rows)) - len(self.rows)
        if without is not None:
            squares = np.maximum(squares - self.squares[name][without], 0)
            freedom -= len(self.rows[without]) - 1
        variance = squares / max(1, freedom)
        within: Array = (variance + variance.mean()) / 2
        return within

    def left_out(self, vectors: Mapping[str, Array]) -> dict[str, Array]:
        """Deviations of every clip by the other takes, (N, C, S) by group.

        A machine with a single take is measured by that take itself.
        """
        deviations = {name: np.empty_like(values) for name, values in vectors.items()}
        for place, (machine, own) in enumerate(zip(self.machines, self.rows, strict=True)):
            without = place if len(self.places[machine]) > 1 else None
            takes, spreads = self.means_of(machine, without=without), self.spreads_of(machine, without=without)
            decorrelations = self.decorrelations(without=without)
            for name, values in vectors.items():
                decorrelation = decorrelations.get(name)
                deviations[name][own] = deviations_from(values[own], takes[name], spreads[name], decorrelation)
        return deviations


def _squares(values: Array) -> Array:
    """The sum of the squared distances of (n, C, S) from their mean, (C, S)."""
    squares: Array = np.square(values - values.mean(axis=0)).sum(axis=0)
    return squares
