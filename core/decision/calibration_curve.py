"""How a detector's validation figures depend on the number of healthy takes that its statistic is fitted to.

The statistic is fitted again to some of the calibration takes, and judges the same validation clips. No network is
trained again, so the curve does not say what more training sound would bring.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.decision.fitting import fit_statistic
from core.decision.metrics import auc, f1_score
from core.decision.postprocess import PostprocessingConfig
from core.decision.score_file import ScoredClips
from core.decision.statistic import rows_by_machine

SHARES = (1 / 4, 1 / 2, 1)
"""Of each machine's calibration takes."""
NUM_DRAWS = 6
"""Of takes, for each share."""


@dataclass(frozen=True, kw_only=True)
class CalibrationPoint:
    """Validation figures with a number of calibration takes: means over draws of takes."""

    num_takes: int
    """Of all machines together."""
    auc: float
    f1: float
    """At the configuration's threshold."""
    f1_range: tuple[float, float]
    """The lowest and the highest of the draws."""


def calibration_curve(
    config: PostprocessingConfig, scored: Mapping[str, ScoredClips], *, score: str, frame_ms: float
) -> list[CalibrationPoint]:
    """The points in ascending order, the last with all takes. Empty where no machine has two takes, or without both
    labels among the validation clips.
    """
    calibration, validation = scored["calibration"], scored["validation"]
    labels, frames = validation.is_anomalous, calibration.scores.of(score)
    if labels.all() or not labels.any() or len(set(calibration.recording_ids)) == len(set(calibration.machines)):
        return []

    def figures(rows: npt.NDArray[np.intp]) -> tuple[float, float]:
        machines, takes = ([each[row] for row in rows] for each in (calibration.machines, calibration.recording_ids))
        statistic = fit_statistic(config, frames[rows], machines, takes, frame_ms=frame_ms)
        scores = statistic.judge(validation.scores.of(score), validation.machines).clip_scores
        return auc(scores, labels), f1_score(scores >= config.threshold_sigmas, labels)

    points = {}
    for share in SHARES:
        drawn = list(_draws(calibration.machines, calibration.recording_ids, share))
        found = np.array([figures(rows) for rows in drawn])
        num_takes = len({calibration.recording_ids[row] for row in drawn[0]})
        points[num_takes] = CalibrationPoint(
            num_takes=num_takes,
            auc=float(found[:, 0].mean()),
            f1=float(found[:, 1].mean()),
            f1_range=(float(found[:, 1].min()), float(found[:, 1].max())),
        )
    return list(points.values())


def _draws(machines: Sequence[str], takes: Sequence[str], share: float) -> Iterator[npt.NDArray[np.intp]]:
    """Rows of the clips of that share of each machine's takes, at least one: NUM_DRAWS times, once for all takes."""
    random, names = np.random.default_rng(0), np.array(takes)
    for _ in range(NUM_DRAWS if share < 1 else 1):
        chosen: list[str] = []
        for rows in rows_by_machine(machines).values():
            own = np.unique(names[rows])
            chosen += random.permutation(own)[: max(1, round(share * len(own)))].tolist()
        yield np.flatnonzero(np.isin(names, chosen))
