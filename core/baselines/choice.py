"""Chooses a detector's score, post-processing and threshold on the validation clips.

`choose` is for the alternatives. WaveNet's row in a comparison is the study's winner as it is (`as_it_is`). Both are
chosen on the same validation takes by a one-standard-error rule, in which the simple choice wins unless another one is
better by more than one standard error over takes. They differ in what is compared: the winner's rule compares trials
with the default configuration by the study's objective, and `choose` compares post-processings with the first one that
is as good as the best by AUC. A detector is given as its frame scores (N, C, F) of the judged clips. The test's clips
reach nothing in this file but `judge_split`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.baselines.candidates import choices_of_kind
from core.baselines.changes import CHANGES, fit_changes_of_scores
from core.baselines.paired_bootstrap import SplitDecisions, draw_takes, mean_area
from core.data.clips import ClipSet
from core.decision.evaluation import count_events
from core.decision.event_metrics import EventCounts, event_metrics
from core.decision.fitting import fit_statistic
from core.decision.metrics import BoolArray, FloatArray, f1_score
from core.decision.postprocess import PostprocessingConfig
from core.decision.statistic import Judgement
from core.model.scoring import Scores

NUM_EVENT_THRESHOLDS = 16
NUM_DRAWS_TO_CHOOSE = 200
"""Draws of validation takes: enough for a standard error."""


@dataclass(frozen=True, kw_only=True)
class ScoredDataset:
    """One detector's scores of the judged clips, and its costs."""

    name: str
    setup: str
    """Its configuration, in words."""
    scores: Mapping[str, Mapping[str, Scores]]
    """By kind of score, (N, C, F) of each split of JUDGED."""
    frame_ms: float
    first_s: float
    """Where the first frame begins in a clip."""
    num_weights: int
    seconds_to_train: float
    """With the reading of the clips."""
    seconds_to_score: float
    """For all judged clips."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A choice and its figures on validation, which are optimistic because validation made the choice."""

    score: str
    """The kind of score."""
    postprocessing: PostprocessingConfig
    """With its threshold."""
    auc: float
    """Mean over machines."""
    f1: float
    """Of clips, at the threshold."""
    event_f1: float | None
    """At the threshold; None where the places of the faults are not known."""

    @property
    def rank(self) -> tuple[float, ...]:
        """Higher is better; the metric of the task comes first."""
        area = -math.inf if math.isnan(self.auc) else self.auc
        return (area, self.f1) if self.event_f1 is None else (self.event_f1, area)


def choose(scored: ScoredDataset, judged: Mapping[str, ClipSet], choices: Sequence[PostprocessingConfig]) -> Choice:
    """The first choice whose AUC on validation is within one standard error of the best.

    This is the one-standard-error rule (Breiman and others, 1984) on the paired difference of AUC over draws of takes:
    the best of a few hundred choices on a few takes is best by luck. Where events are sought, the best choice by
    event-based F1 is returned: on a take or two of each machine most choices are within an error of it.
    """
    found = [
        _choice(scored, judged, kind, config) for kind in scored.scores for config in choices_of_kind(kind, choices)
    ]
    best, decisions_of_best = max(found, key=lambda pair: pair[0].rank)
    if best.event_f1 is not None:
        return best
    draws = draw_takes([decisions_of_best], num_draws=NUM_DRAWS_TO_CHOOSE)
    best_areas = mean_area([decisions_of_best], draws)
    as_good = (choice for choice, decisions in found if is_within_an_error(best_areas, mean_area([decisions], draws)))
    return next(as_good, best)  # there is no AUC, and so none as good, where no machine has clips of both kinds


def as_it_is(scored: ScoredDataset, judged: Mapping[str, ClipSet], kind: str, config: PostprocessingConfig) -> Choice:
    """A choice that was made before, with its figures on validation at its own threshold."""
    judgement = judge_split(scored, judged, kind, config, "validation")
    return _with_figures(scored, judgement, judged["validation"], kind, config)[0]


def is_within_an_error(best: FloatArray, other: FloatArray) -> bool:
    """Whether `other` is worse than `best` by at most the standard error of their difference.

    Both are a figure in (R,) draws, the first of which counts every take once.
    """
    differences = best - other
    spread = differences[1:][~np.isnan(differences[1:])]
    return bool(differences[0] <= (spread.std() if spread.size else 0.0))


def _choice(
    scored: ScoredDataset, judged: Mapping[str, ClipSet], kind: str, config: PostprocessingConfig
) -> tuple[Choice, SplitDecisions]:
    """The choice with its best threshold, and its decisions about the validation clips."""
    judgement, clips = judge_split(scored, judged, kind, config, "validation"), judged["validation"]
    if clips.events is None:
        threshold = best_threshold(judgement.clip_scores, clips.is_anomalous)
    else:
        threshold = _best_event_threshold(scored, judgement, clips)
    return _with_figures(scored, judgement, clips, kind, replace(config, threshold_sigmas=threshold))


def _with_figures(
    scored: ScoredDataset, judgement: Judgement, clips: ClipSet, kind: str, config: PostprocessingConfig
) -> tuple[Choice, SplitDecisions]:
    """The choice with its figures at its threshold, and its decisions about the clips."""
    threshold = config.threshold_sigmas
    decisions = decide(scored, judgement, clips, threshold)
    choice = Choice(
        score=kind,
        postprocessing=config,
        auc=float(mean_area([decisions], draw_takes([decisions], num_draws=0))[0]),
        f1=f1_score(judgement.clip_scores >= threshold, clips.is_anomalous),
        event_f1=None if decisions.events is None else event_metrics(decisions.events).event_f1,
    )
    return choice, decisions


def _best_event_threshold(scored: ScoredDataset, judgement: Judgement, clips: ClipSet) -> float:
    """The best by event-based F1 of some thresholds that are spread over the frames' scores."""
    finite = judgement.thresholds[np.isfinite(judgement.thresholds)]
    levels = np.unique(np.quantile(finite, np.linspace(0.3, 1, NUM_EVENT_THRESHOLDS))) if finite.size else np.zeros(1)
    return max(
        (event_metrics(_counts(scored, judgement, clips, level)).event_f1, level) for level in map(float, levels)
    )[1]


def _counts(scored: ScoredDataset, judgement: Judgement, clips: ClipSet, threshold: float) -> EventCounts:
    assert clips.events is not None
    return count_events(judgement, clips.events, threshold, first_s=scored.first_s, frame_s=scored.frame_ms / 1000)


def best_threshold(scores: FloatArray, is_anomalous: BoolArray) -> float:
    """Midway between the highest score at which F1 is highest and the next score below; 0 where no score is finite."""
    levels = np.unique(scores[np.isfinite(scores)])
    if not len(levels):
        return 0.0
    f1 = np.array([f1_score(scores >= level, is_anomalous) for level in levels])
    best = int(np.flatnonzero(f1 == f1.max())[-1])
    return float((levels[best] + levels[max(0, best - 1)]) / 2)


def judge_split(
    scored: ScoredDataset, judged: Mapping[str, ClipSet], kind: str, config: PostprocessingConfig, split: str
) -> Judgement:
    """Judges a split's clips by what is fitted to the calibration clips."""
    scores, calibration = scored.scores[kind], judged["calibration"]
    if kind == CHANGES:
        changes = fit_changes_of_scores(
            config, scores["calibration"], calibration.recording_ids, frame_ms=scored.frame_ms
        )
        return changes.judge(scores[split])
    statistic = fit_statistic(
        config, scores["calibration"], calibration.machines, calibration.recording_ids, frame_ms=scored.frame_ms
    )
    return statistic.judge(scores[split], judged[split].machines)


def decide(scored: ScoredDataset, judgement: Judgement, clips: ClipSet, threshold: float) -> SplitDecisions:
    """What is decided about the clips of a split, and about their events where their places are known."""
    events = None if clips.events is None else _counts(scored, judgement, clips, threshold)
    return replace(decisions_of(judgement.clip_scores, clips, threshold), events=events)


def decisions_of(clip_scores: FloatArray, clips: ClipSet, threshold: float) -> SplitDecisions:
    return SplitDecisions(
        scores=clip_scores,
        threshold=threshold,
        is_anomalous=clips.is_anomalous,
        recording_ids=clips.recording_ids,
        machines=clips.machines,
    )
