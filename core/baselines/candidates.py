"""What there is to choose from: the post-processings of a detector's scores, the simplest first."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from core.baselines.changes import CHANGES
from core.data.dataset import Dataset
from core.decision.postprocess import BASELINES, STATISTICS, PostprocessingConfig
from core.model.scoring import INNOVATIONS

WINDOWS_MS = (10_000.0, 5000.0, 2000.0, 1000.0, 500.0, 200.0, 100.0)
"""The longest is first, because the first of equally good windows is chosen."""
EVENT_LENGTHS_MS = ((100.0, 50.0), (500.0, 250.0))
"""The gap that is filled and the shortest event, where the places of the faults are known."""
SMOOTHINGS_MS = (200.0, 500.0, 100.0, 25.0)
"""Before change points are sought; of innovations the first one."""


def choices_over(
    dataset: Dataset, *, windows_ms: Sequence[float] = WINDOWS_MS, sides: Sequence[bool] = (False, True)
) -> tuple[PostprocessingConfig, ...]:
    """Every post-processing to choose from, the simplest first. Options without effect on these clips are left out."""
    clips = dataset.validation
    fusions = ("mean", "weighted", "maximum") if dataset.num_channels > 1 else ("mean",)
    sigmas = ("pooled", "machine") if len(set(clips.machines)) > 1 else ("machine",)
    # A clip's own median would hide a fault that lasts for the whole clip.
    baselines = BASELINES[:2] if clips.events is not None else BASELINES[:1]
    lengths = EVENT_LENGTHS_MS if clips.events is not None else EVENT_LENGTHS_MS[:1]
    clip_ms = 1000 * dataset.config.clips.clip_seconds
    windows = [window_ms for window_ms in windows_ms if window_ms <= clip_ms]
    return tuple(
        PostprocessingConfig(
            window_ms=window_ms,
            two_sided=two_sided,
            fusion=fusion,
            sigma=sigma,
            baseline=baseline,
            gap_ms=gap_ms,
            min_event_ms=event_ms,
        )
        for two_sided, window_ms, fusion, sigma, baseline, (gap_ms, event_ms) in product(
            sides, windows, fusions, sigmas, baselines, lengths
        )
    )


def innovations_choices(choices: Sequence[PostprocessingConfig]) -> tuple[PostprocessingConfig, ...]:
    """What there is to choose of the score `innovations`, where the score has these other choices."""
    baselines = BASELINES if any(config.baseline == "clip" for config in choices) else BASELINES[:1]
    return tuple(of_innovations(statistics, baseline) for statistics, baseline in product(STATISTICS, baselines))


def of_innovations(statistics: str = "all", baseline: str = "machine") -> PostprocessingConfig:
    """Whole clips are compared with their machine, or change points set where an event begins and ends."""
    return PostprocessingConfig(
        window_ms=WINDOWS_MS[0] if baseline == "machine" else SMOOTHINGS_MS[0],
        gap_ms=25.0,
        min_event_ms=25.0,
        median_ms=0.0,
        statistics=statistics,  # type: ignore[arg-type]
        baseline=baseline,  # type: ignore[arg-type]
    )


def changes_choices(statistics: str = "all") -> tuple[PostprocessingConfig, ...]:
    """What there is to choose where change points are sought. Statistics are of innovations alone."""
    return tuple(replace(of_innovations(statistics, "clip"), window_ms=window_ms) for window_ms in SMOOTHINGS_MS)


def choices_of_kind(kind: str, choices: Sequence[PostprocessingConfig]) -> Sequence[PostprocessingConfig]:
    """`choices`, or what corresponds to them for a kind of score with choices of its own."""
    if kind == INNOVATIONS:
        return innovations_choices(choices)
    return changes_choices() if kind == CHANGES else choices
