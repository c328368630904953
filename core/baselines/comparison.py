"""WaveNet and its alternatives side by side: the same clips, the same choices, the same figures.

A detector comes here as frame scores (N, C, F) of the judged clips. Its score, window, side, fusion, sigma and
threshold are chosen on validation, and so is which of an alternative's variants speaks for it, out of as many as its
budget of time allows. The verdicts are on the test's clips, which reach nothing that chooses.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from core.baselines.alternative import Alternative
from core.baselines.log_mel import FrameGrid
from core.baselines.paired_bootstrap import SplitDecisions, draw_takes, mean_area
from core.data.clips import ClipSet
from core.data.dataset import JUDGED, Dataset
from core.decision.evaluation import count_events
from core.decision.event_metrics import event_metrics
from core.decision.metrics import BoolArray, FloatArray, f1_score
from core.decision.postprocess import BASELINES, PostprocessingConfig
from core.decision.statistic import Judgement, fit_statistic
from core.errors import UserError
from core.model.scoring import Scores
from core.thread_pool import ThreadPool

WINDOWS_MS = (10_000.0, 5000.0, 2000.0, 1000.0, 500.0, 200.0, 100.0)
"""The longest first, since of windows that are as good on validation the first is taken."""
EVENT_LENGTHS_MS = ((100.0, 50.0), (500.0, 250.0))
"""The gap that is filled and the shortest event, where the faults' places are known."""
NUM_EVENT_THRESHOLDS = 16
NUM_DRAWS_TO_CHOOSE = 200
"""Of validation's takes: enough for a standard error."""


@dataclass(frozen=True, kw_only=True)
class ScoredDataset:
    """What one detector makes of the judged clips, and what it costs."""

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
    """Reading the clips included."""
    seconds_to_score: float
    """For all judged clips."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen on validation, and what it is worth there: optimistic, for it has seen the labels."""

    score: str
    """The kind of score."""
    postprocessing: PostprocessingConfig
    """Its threshold included."""
    auc: float
    """Mean over machines."""
    f1: float
    """Of clips, at the threshold."""
    event_f1: float | None
    """At the threshold; None where the faults' places are not known."""

    @property
    def rank(self) -> tuple[float, ...]:
        """The higher the better: what the task asks for comes first."""
        return (self.auc, self.f1) if self.event_f1 is None else (self.event_f1, self.auc)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One detector on one split."""

    name: str
    setup: str
    choice: Choice
    verdicts: SplitDecisions
    num_weights: int
    seconds_to_train: float
    seconds_to_score: float
    num_tried: int
    """Variants that it was chosen from."""
    seconds_of_tuning: float
    """For all of them."""


def compare(
    datasets: Sequence[Dataset], families: Mapping[str, Sequence[Alternative]], *, seed: int, budget_s: float
) -> Iterable[Row]:
    """Each family of alternatives on each of the datasets, tried in turn until the budget is spent; one at the least.

    All `datasets` have the same clips to judge. UserError, before any is trained, where clips are too short.
    """
    for alternatives, dataset in product(families.values(), datasets):
        for alternative in alternatives:
            check_length(alternative, dataset)
    for name, alternatives in families.items():
        yield _best_of(name, alternatives, datasets, seed=seed, budget_s=budget_s)


def _best_of(
    name: str, alternatives: Sequence[Alternative], datasets: Sequence[Dataset], *, seed: int, budget_s: float
) -> Row:
    started, best, num_tried = time.perf_counter(), None, 0
    for alternative, dataset in product(alternatives, datasets):
        if best is not None and time.perf_counter() - started >= budget_s:
            break
        scored = fit_and_score(alternative, dataset, seed=seed)
        choice = choose(scored, dataset.judged(), choices_over(dataset))
        num_tried += 1
        if best is None or choice.rank > best[1].rank:
            best = scored, choice, dataset
    assert best is not None, f"the family {name} is empty"
    scored, choice, dataset = best
    seconds = time.perf_counter() - started
    return row_of(scored, choice, dataset.judged(), num_tried=num_tried, seconds_of_tuning=seconds)


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
        setup=setup_of(alternative, dataset),
        scores={"its own": scores},
        frame_ms=scorer.frame_ms,
        first_s=scorer.first_s,
        num_weights=scorer.num_weights,
        seconds_to_train=trained - started,
        seconds_to_score=done - trained,
    )


def setup_of(alternative: Alternative, dataset: Dataset) -> str:
    """What tells it from all that is tried beside it, in words."""
    speeds = ["several speeds"] if dataset.config.speed_perturbation else []
    return ", ".join([f"{dataset.sample_rate_hz} Hz", *speeds, *alternative.setup])


def choices_over(
    dataset: Dataset, *, windows_ms: Sequence[float] = WINDOWS_MS, sides: Sequence[bool] = (False, True)
) -> tuple[PostprocessingConfig, ...]:
    """All there is to choose from, the plainest first: what cannot matter on these clips is left out."""
    clips = dataset.validation
    fusions = ("mean", "weighted", "maximum") if dataset.num_channels > 1 else ("mean",)
    sigmas = ("pooled", "machine") if len(set(clips.machines)) > 1 else ("machine",)
    # A fault that is there from end to end must not be held against itself.
    baselines = BASELINES if clips.events is not None else BASELINES[:1]
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


def choose(scored: ScoredDataset, judged: Mapping[str, ClipSet], choices: Sequence[PostprocessingConfig]) -> Choice:
    """The first on validation of those that are as good as the best, as far as its takes can tell.

    That is the one-standard-error rule (Breiman and others, 1984), on the paired difference of AUC: of a few hundred
    choices on a few takes the best owes its lead to luck. Where events are sought, whose places a take or two of each
    machine cannot resample, it is the best itself.
    """
    found = [_choice(scored, judged, kind, config) for kind, config in product(scored.scores, choices)]
    best, of_best = max(found, key=lambda pair: pair[0].rank)
    if best.event_f1 is not None:
        return best
    draws = draw_takes([of_best], num_draws=NUM_DRAWS_TO_CHOOSE)
    best_areas = mean_area([of_best], draws)
    as_good = (choice for choice, verdicts in found if is_within_an_error(best_areas, mean_area([verdicts], draws)))
    return next(as_good, best)  # where no machine has clips of both kinds there is no AUC, and none is as good


def is_within_an_error(best: FloatArray, other: FloatArray) -> bool:
    """Of two figures in (R,) draws, the first of which is every take once: whether the other is not worse by more than
    the standard error of the difference."""
    differences = best - other
    spread = differences[1:][~np.isnan(differences[1:])]
    return bool(differences[0] <= (spread.std() if spread.size else 0.0))


def _choice(
    scored: ScoredDataset, judged: Mapping[str, ClipSet], kind: str, config: PostprocessingConfig
) -> tuple[Choice, SplitDecisions]:
    """With the threshold that is best for it, and what it then says of validation's clips."""
    judgement, clips = _judge(scored, judged, kind, config, "validation"), judged["validation"]
    event_f1 = None
    threshold = best_threshold(judgement.clip_scores, clips.is_anomalous)
    if clips.events is not None:
        threshold, event_f1 = _best_event_threshold(scored, judgement, clips)
    verdicts = _verdicts(judgement.clip_scores, clips, threshold)
    choice = Choice(
        score=kind,
        postprocessing=replace(config, threshold_sigmas=threshold),
        auc=float(mean_area([verdicts], draw_takes([verdicts], num_draws=0))[0]),
        f1=f1_score(judgement.clip_scores >= threshold, clips.is_anomalous),
        event_f1=event_f1,
    )
    return choice, verdicts


def _best_event_threshold(scored: ScoredDataset, judgement: Judgement, clips: ClipSet) -> tuple[float, float]:
    """Out of some that are spread over the frames' scores, and its event-based F1."""
    assert clips.events is not None
    finite = judgement.thresholds[np.isfinite(judgement.thresholds)]
    levels = np.unique(np.quantile(finite, np.linspace(0.3, 1, NUM_EVENT_THRESHOLDS))) if finite.size else np.zeros(1)
    measure = _event_f1_of(scored, judgement, clips)
    found = [(measure(float(level)), float(level)) for level in levels]
    f1, threshold = max(found)
    return threshold, f1


def _event_f1_of(scored: ScoredDataset, judgement: Judgement, clips: ClipSet) -> Callable[[float], float]:
    assert clips.events is not None
    spans, frame_s = clips.events, scored.frame_ms / 1000
    return lambda threshold: (
        event_metrics(count_events(judgement, spans, threshold, first_s=scored.first_s, frame_s=frame_s)).event_f1
    )


def best_threshold(scores: FloatArray, is_anomalous: BoolArray) -> float:
    """Where F1 is highest, the highest of those, and there midway to the next score below; 0 where none is finite."""
    levels = np.unique(scores[np.isfinite(scores)])
    if not len(levels):
        return 0.0
    f1 = np.array([f1_score(scores >= level, is_anomalous) for level in levels])
    best = int(np.flatnonzero(f1 == f1.max())[-1])
    return float((levels[best] + levels[max(0, best - 1)]) / 2)


def row_of(
    scored: ScoredDataset, choice: Choice, judged: Mapping[str, ClipSet], *, num_tried: int, seconds_of_tuning: float
) -> Row:
    """One detector's verdicts on the test's clips: WaveNet's, too, from the frame scores that were kept of it."""
    judgement, clips = _judge(scored, judged, choice.score, choice.postprocessing, "test"), judged["test"]
    verdicts = _verdicts(judgement.clip_scores, clips, choice.postprocessing.threshold_sigmas)
    if clips.events is not None:
        counts = count_events(
            judgement, clips.events, verdicts.threshold, first_s=scored.first_s, frame_s=scored.frame_ms / 1000
        )
        verdicts = replace(verdicts, events=counts)
    return Row(
        name=scored.name,
        setup=scored.setup,
        choice=choice,
        verdicts=verdicts,
        num_weights=scored.num_weights,
        seconds_to_train=scored.seconds_to_train,
        seconds_to_score=scored.seconds_to_score,
        num_tried=num_tried,
        seconds_of_tuning=seconds_of_tuning,
    )


def _verdicts(clip_scores: FloatArray, clips: ClipSet, threshold: float) -> SplitDecisions:
    return SplitDecisions(
        scores=clip_scores,
        threshold=threshold,
        is_anomalous=clips.is_anomalous,
        recording_ids=clips.recording_ids,
        machines=clips.machines,
    )


def _judge(
    scored: ScoredDataset, judged: Mapping[str, ClipSet], kind: str, config: PostprocessingConfig, split: str
) -> Judgement:
    """By mu and sigma of the calibration clips."""
    scores, calibration = scored.scores[kind], judged["calibration"].machines
    statistic = fit_statistic(config, scores["calibration"], calibration, frame_ms=scored.frame_ms)
    return statistic.judge(scores[split], judged[split].machines)
