"""The file of frame scores of every judged clip, from which post-processing is searched and figures are drawn.

It is a numpy archive without pickles. For each split it holds `<split>_surprise`, `_entropy` and
`_normalised_residual`, each (N, C, F), and `_statistics`, (N, C, F, K). About the clips it holds `_recording_ids`,
`_machines`, `_conditions`, `_starts_s` and `_is_anomalous`, each (N,).
"""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.dataset import Dataset
from core.data.judged_clips import JUDGED
from core.errors import UserError
from core.model.scoring import FRAME_SCORES, FrameScores
from core.whole_file import whole_file


@dataclass(frozen=True, kw_only=True)
class ScoredClips:
    """N clips of one split with their scores."""

    scores: FrameScores
    recording_ids: tuple[str, ...]
    machines: tuple[str, ...]
    conditions: tuple[str, ...]
    """The fault in the source's words, or `normal`."""
    is_anomalous: npt.NDArray[np.bool_]


def save_scores(path: Path, scores: Mapping[str, FrameScores], dataset: Dataset) -> None:
    """Writes the scores of all judged splits, whole or not at all."""
    arrays: dict[str, Any] = {}
    for name, clips in dataset.judged().items():
        arrays |= {f"{name}_{kind}": getattr(scores[name], kind) for kind in FRAME_SCORES}
        arrays[f"{name}_recording_ids"] = np.array(clips.recording_ids)
        arrays[f"{name}_machines"] = np.array(clips.machines)
        arrays[f"{name}_conditions"] = np.array(clips.conditions)
        arrays[f"{name}_starts_s"] = np.array(clips.starts_s)
        arrays[f"{name}_is_anomalous"] = clips.is_anomalous
    with whole_file(path) as scratch:
        np.savez_compressed(scratch, **arrays)


def load_scores(path: Path) -> dict[str, ScoredClips]:
    """Reads scored clips by split, as `save_scores` wrote them. UserError for a file that is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: _scored_clips(arrays, name) for name in JUDGED}
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} must be a file of frame scores, but it cannot be read: {reason}.") from error


def _scored_clips(arrays: Mapping[str, Any], name: str) -> ScoredClips:
    return ScoredClips(
        scores=FrameScores(**{kind: arrays[f"{name}_{kind}"] for kind in FRAME_SCORES}),
        recording_ids=tuple(arrays[f"{name}_recording_ids"].tolist()),
        machines=tuple(arrays[f"{name}_machines"].tolist()),
        conditions=tuple(arrays[f"{name}_conditions"].tolist()),
        is_anomalous=arrays[f"{name}_is_anomalous"],
    )
