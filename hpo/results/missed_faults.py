"""Which faults a detector misses: its decisions on validation and test clips, by machine and condition."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from core.decision.score_file import ScoredClips

Flags = npt.NDArray[np.bool_]
"""(N,): whether a clip's score reaches the threshold."""
SPLITS = ("validation", "test")
Group = tuple[str, bool, str]
"""Machine, whether the clip is anomalous, and its condition. Rows are sorted by it, normal clips first."""


def missed_fault_rows(flagged: Mapping[str, Flags], scored: Mapping[str, ScoredClips]) -> list[dict[str, Any]]:
    """`faults` of result.json: one row for each machine and condition, `normal` included, with counts of both splits.

    A split without such clips is None. A take is missed when none of its clips of that condition is flagged.
    """
    groups = sorted({group for split in SPLITS for group in _groups(scored[split])})
    return [
        {
            "machine": machine,
            "condition": condition,
            "is_anomalous": is_anomalous,
            **{split: _figures(flagged[split], scored[split], (machine, is_anomalous, condition)) for split in SPLITS},
        }
        for machine, is_anomalous, condition in groups
    ]


def _groups(clips: ScoredClips) -> list[Group]:
    return list(zip(clips.machines, clips.is_anomalous.tolist(), clips.conditions, strict=True))


def _figures(flagged: Flags, clips: ScoredClips, group: Group) -> dict[str, Any] | None:
    rows = np.flatnonzero([each == group for each in _groups(clips)])
    if not len(rows):
        return None
    takes = {clips.recording_ids[row] for row in rows}
    heard = {clips.recording_ids[row] for row in rows if flagged[row]}
    return {
        "num_clips": len(rows),
        "num_takes": len(takes),
        "num_flagged": int(flagged[rows].sum()),
        "share_flagged": float(flagged[rows].mean()),
        "takes_flagged": sorted(heard),
        "takes_missed": sorted(takes - heard),
    }
