"""WaveNet and its alternatives side by side: the same clips, the same choices, the same figures.

A detector comes here as frame scores (N, C, F) of the judged clips. Its window, its side and its threshold are chosen
on validation; the figures are the test's, which reaches nothing that chooses.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np

from core.baselines import Alternative
from core.baselines.log_mel import FrameGrid
from core.clips import ClipSet
from core.dataset import JUDGED, Dataset
from core.errors import UserError
from core.metrics import BoolArray, FloatArray, auc, bootstrap_interval, f1_score, partial_auc
from core.postprocess import PostprocessingConfig
from core.scoring import Scores
from core.statistic import fit_statistic
from core.thread_pool import ThreadPool

Metric = Callable[[FloatArray, BoolArray], float]

WINDOWS_MS = (10_000.0, 5000.0, 2000.0, 1000.0, 500.0, 200.0, 100.0)
"""The longest first, since of windows that are equal on validation the first is taken."""


@dataclass(frozen=True, kw_only=True)
class ScoredDataset:
    """What one detector makes of the judged clips, and what it costs."""

    name: str
    scores: Mapping[str, Scores]
    """(N, C, F) of each split of JUDGED."""
    frame_ms: float
    num_weights: int
    seconds_to_train: float
    """Reading the clips included."""
    seconds_to_score: float
    """For all judged clips."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen on validation, and what it is worth there."""

    postprocessing: PostprocessingConfig
    """Its threshold included."""
    auc: float
    f1: float
    """At the threshold. Optimistic, as the AUC is: both have seen the labels."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure with its interval of 95 %, by takes."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one machine, or of all. What is not defined, as an AUC is not where one class is missing, is NaN."""

    f1: Figure
    auc: Figure
    pauc: Figure
    f1_flag_everything: float
    """F1 of calling every clip anomalous."""
    num_clips: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One detector in the table."""

    scored: ScoredDataset
    choice: Choice
    overall: Figures
    machines: Mapping[str, Figures]


def compare(
    dataset: Dataset,
    *,
    alternatives: Sequence[Alternative],
    seed: int,
    windows_ms: Sequence[float] = WINDOWS_MS,
    sides: Sequence[bool] = (False, True),
    postprocessing: PostprocessingConfig | None = None,
    num_resamples: int = 1000,
) -> tuple[Row, ...]:
    """Trains and judges every alternative. UserError where clips are too short for one of them.

    `sides` are the values of `two_sided` to choose from; what is not chosen is as in `postprocessing`.
    """
    for alternative in alternatives:
        check_length(alternative, dataset)
    choices = choices_over(postprocessing or PostprocessingConfig(), windows_ms=windows_ms, sides=sides)
    scored = (fit_and_score(alternative, dataset, seed=seed) for alternative in alternatives)
    return tuple(row_of(one, dataset.judged(), choices=choices, num_resamples=num_resamples) for one in scored)


def check_length(alternative: Alternative, dataset: Dataset) -> None:
    """UserError where the dataset's clips have fewer frames than the alternative needs."""
    grid = FrameGrid.at(dataset.sample_rate_hz)
    shortest_s = (grid.frame + (alternative.min_frames - 1) * grid.hop) / grid.sample_rate_hz
    if grid.num_frames(dataset.config.clip_samples) < alternative.min_frames:
        raise UserError(
            f"clips.clip_seconds must be at least {shortest_s:g} for the {alternative.name}, "
            f"but got {dataset.config.clips.clip_seconds:g}. Lengthen the clips, or leave it out."
        )


def fit_and_score(alternative: Alternative, dataset: Dataset, *, seed: int) -> ScoredDataset:
    """One alternative, trained on the training clips, on one thread, so that its seed says all."""
    with ThreadPool(1):
        judged = dataset.judged()  # before the clock starts: of a set that arrives it is waited for
        started = time.perf_counter()
        scorer = alternative.fit(dataset.training.order(seed), sample_rate_hz=dataset.sample_rate_hz, seed=seed)
        trained = time.perf_counter()
        scores = {name: scorer.frame_scores(judged[name].waveforms) for name in JUDGED}
        done = time.perf_counter()
    return ScoredDataset(
        name=alternative.name,
        scores=scores,
        frame_ms=scorer.frame_ms,
        num_weights=scorer.num_weights,
        seconds_to_train=trained - started,
        seconds_to_score=done - trained,
    )


def choices_over(
    config: PostprocessingConfig, *, windows_ms: Sequence[float], sides: Sequence[bool]
) -> tuple[PostprocessingConfig, ...]:
    """Every window with every side."""
    return tuple(
        replace(config, window_ms=window_ms, two_sided=two_sided) for two_sided, window_ms in product(sides, windows_ms)
    )


def row_of(
    scored: ScoredDataset,
    judged: Mapping[str, ClipSet],
    *,
    choices: Sequence[PostprocessingConfig],
    num_resamples: int = 1000,
) -> Row:
    """One detector's row: WaveNet's, too, from the frame scores that were kept of it."""
    choice = choose(scored, judged, choices)
    test = judged["test"]
    clip_scores = _clip_scores(scored, judged, choice.postprocessing, "test")
    threshold = choice.postprocessing.threshold_sigmas
    everything = np.ones(len(test), dtype=np.bool_)
    by_machine = {name: np.array([machine == name for machine in test.machines]) for name in sorted(set(test.machines))}
    figures = partial(_figures, clip_scores, test, threshold=threshold, num_resamples=num_resamples)
    return Row(
        scored=scored,
        choice=choice,
        overall=figures(everything),
        machines={name: figures(rows) for name, rows in by_machine.items()},
    )


def choose(scored: ScoredDataset, judged: Mapping[str, ClipSet], choices: Sequence[PostprocessingConfig]) -> Choice:
    """The highest AUC on validation, among equals the highest F1, then the first; with the threshold of that F1."""
    labels = judged["validation"].is_anomalous
    found = []
    for config in choices:
        clip_scores = _clip_scores(scored, judged, config, "validation")
        threshold = best_threshold(clip_scores, labels)
        found.append(
            Choice(
                postprocessing=replace(config, threshold_sigmas=threshold),
                auc=auc(clip_scores, labels),
                f1=f1_score(clip_scores >= threshold, labels),
            )
        )
    return max(found, key=lambda choice: (choice.auc, choice.f1))


def best_threshold(scores: FloatArray, is_anomalous: BoolArray) -> float:
    """Where F1 is highest, the highest of those, and there midway to the next score below; 0 where none is finite."""
    levels = np.unique(scores[np.isfinite(scores)])
    if not len(levels):
        return 0.0
    f1 = np.array([f1_score(scores >= level, is_anomalous) for level in levels])
    best = int(np.flatnonzero(f1 == f1.max())[-1])
    return float((levels[best] + levels[max(0, best - 1)]) / 2)


def _clip_scores(
    scored: ScoredDataset, judged: Mapping[str, ClipSet], config: PostprocessingConfig, split: str
) -> FloatArray:
    """(N,) in sigmas, by mu and sigma of the calibration clips."""
    calibration = judged["calibration"].machines
    statistic = fit_statistic(config, scored.scores["calibration"], calibration, frame_ms=scored.frame_ms)
    return statistic.judge(scored.scores[split], judged[split].machines).clip_scores


def _figures(
    clip_scores: FloatArray, clips: ClipSet, rows: BoolArray, *, threshold: float, num_resamples: int
) -> Figures:
    scores, labels = clip_scores[rows], clips.is_anomalous[rows]
    takes = [take for take, is_in in zip(clips.recording_ids, rows, strict=True) if is_in]

    def figure(metric: Metric) -> Figure:
        low, high = bootstrap_interval(metric, scores, labels, takes, num_resamples=num_resamples)
        return Figure(value=metric(scores, labels), low=low, high=high)

    return Figures(
        f1=figure(lambda drawn, truth: f1_score(drawn >= threshold, truth)),
        auc=figure(auc),
        pauc=figure(partial_auc),
        f1_flag_everything=f1_score(np.ones_like(labels), labels),
        num_clips=len(labels),
    )
