"""The part of a detector's file that holds the normal sound of an `InnovationsStatistic`: a header and tensors.

C channels, D statistics of a clip in all groups together, E statistics of a frame whose changes are sought, S bands of
a frame and of those around it.
Tensors are F64, so that a detector that is loaded gives the same scores to the bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.decision.change_points import FORMAT as CHANGE_POINTS_FORMAT
from core.decision.change_points import ChangeModel
from core.decision.clip_statistics import CHANGES, CHANGES_BY_BAND, MODULATION, interpolated_bands
from core.decision.innovations_statistic import CHANGING, GROUPS, InnovationsStatistic, group_sizes
from core.decision.interpolation import Interpolator, num_surrounding, step_frames
from core.decision.modulation import NUM_OCTAVES
from core.decision.normal_sound import SCORE, NormalSound
from core.decision.postprocess import PostprocessingConfig
from core.decision.standard import Standard
from core.decision.take_correlation import DECORRELATED
from core.errors import UserError
from core.model.frame_statistics import FORMAT, NUM_BANDS
from core.model.tensor_file import TensorInfo

Array = npt.NDArray[np.float64]

TAKES, SPREADS, WHITENING = "normal.takes", "normal.spreads_of_machines", "changes.whitening"
MAX_TAKES, MAX_STRETCHES = 100_000, 10_000
MAX_WHITENING = 1e6
"""Far above what calibration gives. Beyond it squares overflow, and no change would be found at all."""


@dataclass(frozen=True, kw_only=True)
class InnovationsHeader:
    """What a detector's header says of its normal sound."""

    machines: tuple[str, ...]
    num_takes: tuple[int, ...] = ()
    """Of each machine. It is missing in files that were written before takes were kept, with other bands."""
    standards: dict[str, Standard]
    """By group, and SCORE."""
    frame_statistics: int = 0
    """Their FORMAT. It is missing in files that were written before it was kept."""
    changes: Standard | None = None
    """None, like the two numbers, where clips are compared with their machine alone."""
    change_points: int = 0
    """Their FORMAT. It is missing in files that were written before it was kept."""
    penalty: float = 0.0
    shortest: int = 1
    num_stretches: int = 1
    """Of a clip. It is missing in files that were written when clips were compared as a whole."""

    def __post_init__(self) -> None:
        if not self.machines or len(set(self.machines)) != len(self.machines):
            raise UserError("innovations.machines must name each machine once, but does not.")
        if self.frame_statistics != FORMAT:
            raise UserError(
                f"innovations.frame_statistics must be {FORMAT}, but is {self.frame_statistics}. Another version has "
                "written it: train it again."
            )
        if self.changes and self.change_points != CHANGE_POINTS_FORMAT:
            raise UserError(
                f"innovations.change_points must be {CHANGE_POINTS_FORMAT}, but is {self.change_points}. Another "
                "version has written it: train it again."
            )
        if len(self.num_takes) != len(self.machines) or not all(1 <= n <= MAX_TAKES for n in self.num_takes):
            raise UserError(f"innovations.num_takes must be 1 to {MAX_TAKES:,} for each machine, but is not.")
        if not 1 <= self.shortest <= 1_000_000:
            raise UserError(f"innovations.shortest must be 1 to 1,000,000, but got {self.shortest}.")
        if not 1 <= self.num_stretches <= MAX_STRETCHES:
            raise UserError(f"innovations.num_stretches must be 1 to {MAX_STRETCHES:,}, but got {self.num_stretches}.")
        if not self.penalty >= 0:
            raise UserError(f"innovations.penalty must be 0 or more, but got {self.penalty}.")
        for standard in (self.changes, *self.standards.values()):
            if standard and not standard.deviation > 0:
                raise UserError(f"innovations: a deviation must be above 0, but got {standard.deviation}.")

    def check_against(self, config: PostprocessingConfig) -> None:
        """UserError unless it has what this post-processing needs: the standards of its statistics' groups, and what is
        known of changes."""
        if config.baseline != "machine" and self.changes is None:
            raise UserError(f"innovations.changes must be given for the baseline {config.baseline!r}, but is missing.")
        if set(self.standards) != {*GROUPS[config.statistics], SCORE}:
            raise UserError(
                f"innovations.standards must be those of the statistics {config.statistics!r}, but differ. "
                "Train a detector of an older version again."
            )


def header_of(statistic: InnovationsStatistic) -> InnovationsHeader:
    header = InnovationsHeader(
        machines=statistic.machines,
        num_takes=tuple(num_takes_of(statistic.normal, machine) for machine in statistic.machines),
        standards=dict(statistic.normal.standards),
        frame_statistics=FORMAT,
        num_stretches=statistic.num_stretches,
    )
    if (model := statistic.changes) is None:
        return header
    return replace(
        header,
        changes=model.standard,
        change_points=CHANGE_POINTS_FORMAT,
        penalty=model.penalty,
        shortest=model.shortest,
    )


def num_takes_of(normal: NormalSound, machine: str) -> int:
    return len(next(iter(normal.takes[machine].values())))


def tensors_of(statistic: InnovationsStatistic) -> dict[str, Tensor]:
    normal = statistic.normal

    def joined(of_machine: Mapping[str, Array]) -> Array:
        return np.concatenate([of_machine[name] for name in normal.groups], axis=-1)

    tensors = {
        TAKES: torch.from_numpy(np.concatenate([joined(normal.takes[machine]) for machine in statistic.machines])),
        SPREADS: torch.from_numpy(np.stack([joined(normal.spreads[machine]) for machine in statistic.machines])),
    }
    if statistic.changes:
        tensors[WHITENING] = torch.from_numpy(statistic.changes.whitening)
    for name, interpolator in normal.interpolators.items():
        tensors[_means_of(name)] = torch.from_numpy(interpolator.means)
        tensors[_weights_of(name)] = torch.from_numpy(interpolator.weights)
    for name, decorrelation in normal.decorrelations.items():
        tensors[_decorrelation_of(name)] = torch.from_numpy(decorrelation)
    return tensors


def _means_of(group: str) -> str:
    return f"{group}.changes.means"


def _weights_of(group: str) -> str:
    return f"{group}.changes.weights"


def _decorrelation_of(group: str) -> str:
    return f"{group}.decorrelation".replace(" ", ".")


def tensor_infos(header: InnovationsHeader, config: PostprocessingConfig, num_channels: int) -> dict[str, TensorInfo]:
    """What the tensors of such a header must be."""
    of_groups = sizes(config, num_channels)
    total, surrounding = sum(of_groups.values()), num_surrounding(NUM_BANDS)
    shapes: dict[str, tuple[int, ...]] = {
        TAKES: (sum(header.num_takes), num_channels, total),
        SPREADS: (len(header.machines), num_channels, total),
    }
    if header.changes:
        num_sought = sum(group_sizes(num_channels)[name] for name in CHANGING[config.statistics])
        shapes[WHITENING] = (num_channels, num_sought, num_sought)
    for name in interpolated_bands(tuple(of_groups)):
        shapes[_means_of(name)] = (num_channels, surrounding)
        shapes[_weights_of(name)] = (surrounding - NUM_BANDS, NUM_BANDS)
    shapes |= {_decorrelation_of(name): (size, size) for name, size in of_groups.items() if name in DECORRELATED}
    return {name: TensorInfo(dtype="F64", shape=shape) for name, shape in shapes.items()}


def sizes(config: PostprocessingConfig, num_channels: int) -> dict[str, int]:
    """By group, in the order of the tensors: how many statistics of a clip it has."""
    of_group = group_sizes(num_channels) | dict.fromkeys(CHANGES.values(), 1) | {MODULATION: NUM_OCTAVES}
    of_group |= dict.fromkeys(CHANGES_BY_BAND.values(), NUM_BANDS)
    return {name: of_group[name] for name in GROUPS[config.statistics]}


def statistic_from(
    header: InnovationsHeader, tensors: Mapping[str, Tensor], config: PostprocessingConfig, *, frame_ms: float
) -> InnovationsStatistic:
    """The statistic as it was saved. The tensors' shapes must be checked. UserError for spreads and a whitening that
    cannot be."""
    if not bool((tensors[SPREADS] > 0).all()):
        raise UserError(f"its tensor {SPREADS} must be above 0, but is not.")
    if header.changes and not bool((tensors[WHITENING].abs() <= MAX_WHITENING).all()):
        raise UserError(f"its tensor {WHITENING} must be at most {MAX_WHITENING:g} in either direction, but is not.")
    takes = np.split(tensors[TAKES].numpy(), np.cumsum(header.num_takes)[:-1])
    of_groups = sizes(config, takes[0].shape[1])
    ends = np.cumsum(list(of_groups.values()))
    places = {name: slice(int(end) - size, int(end)) for (name, size), end in zip(of_groups.items(), ends, strict=True)}

    def by_group(of_machine: Array) -> dict[str, Array]:
        return {name: of_machine[..., place] for name, place in places.items()}

    normal = NormalSound(
        takes=dict(zip(header.machines, map(by_group, takes), strict=True)),
        spreads=dict(zip(header.machines, map(by_group, tensors[SPREADS].numpy()), strict=True)),
        decorrelations={name: tensors[_decorrelation_of(name)].numpy() for name in places if name in DECORRELATED},
        standards={name: header.standards[name] for name in (*places, SCORE)},
        interpolators={
            name: Interpolator(
                step=step_frames(frame_ms),
                means=tensors[_means_of(name)].numpy(),
                weights=tensors[_weights_of(name)].numpy(),
            )
            for name in interpolated_bands(tuple(places))
        },
    )
    changes = None
    if header.changes:
        changes = ChangeModel(
            whitening=tensors[WHITENING].numpy(),
            penalty=header.penalty,
            standard=header.changes,
            shortest=header.shortest,
        )
    return InnovationsStatistic(
        config=config, frame_ms=frame_ms, normal=normal, changes=changes, num_stretches=header.num_stretches
    )
