"""Figures with intervals from a detector's decisions about the test clips of any number of splits.

A figure is computed for R draws of takes at once. In a draw each clip counts as often as its take was drawn. The first
draw counts every take once and gives the figure itself; the others give its interval. Two detectors that judged the
same takes are compared draw by draw, so that effects of a take that both share cancel.

N clips of one split, R draws.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.decision.event_metrics import EventCounts
from core.decision.metrics import MAX_FALSE_POSITIVE_RATE, BoolArray, FloatArray, weighted_areas

NUM_DRAWS = 1000
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True, kw_only=True)
class SplitDecisions:
    """A detector's decisions about the test clips of one split."""

    scores: FloatArray
    """(N,) in sigmas."""
    threshold: float
    """A clip is flagged where its score is at least this, which was chosen on validation."""
    is_anomalous: BoolArray
    recording_ids: tuple[str, ...]
    machines: tuple[str, ...]
    events: EventCounts | None = None
    """None where the places of the faults are not known."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure with its 95 % interval by takes. NaN where it is not defined."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: FloatArray) -> "Figure":
        """From (R,) draws, the first of which counts every take once."""
        drawn = values[1:][~np.isnan(values[1:])]  # a draw without a class has no figure
        low, high = np.quantile(drawn, INTERVAL) if drawn.size else (np.nan, np.nan)
        return cls(value=float(values[0]), low=float(low), high=float(high))


Draws = Mapping[str, FloatArray]
"""How often each take counts, (R,), by take."""


def draw_takes(
    splits: Sequence[SplitDecisions], *, num_draws: int = NUM_DRAWS, without: Collection[str] = (), seed: int = 0
) -> Draws:
    """Draws takes of all splits together with replacement, within each class. Takes in `without` are never drawn.

    A take with a clip of each kind belongs to the anomalous class. With one take of a class intervals are too narrow,
    because they do not show how takes vary.
    """
    is_anomalous: dict[str, bool] = {}
    for split in splits:
        for take, label in zip(split.recording_ids, split.is_anomalous, strict=True):
            is_anomalous[take] = is_anomalous.get(take, False) or bool(label)
    random = np.random.default_rng(seed)
    draws = {take: np.zeros(1 + num_draws) for take in is_anomalous}
    for of_class in (False, True):
        takes = sorted(take for take, label in is_anomalous.items() if label == of_class and take not in without)
        if takes:
            counts = random.multinomial(len(takes), [1 / len(takes)] * len(takes), size=num_draws)
            draws |= {take: np.append(1.0, counts[:, column]) for column, take in enumerate(takes)}
    return draws


def weights_of(split: SplitDecisions, draws: Draws) -> FloatArray:
    """(R, N): how often each clip counts."""
    return np.stack([draws[take] for take in split.recording_ids], axis=1)


def mean_area(splits: Sequence[SplitDecisions], draws: Draws, *, max_rate: float = 1.0) -> FloatArray:
    """(R,) the mean of the AUCs of each machine in each split, so that scores of different machines are not compared.

    Each counts as often as its normal takes were drawn, and not at all without clips of both classes. NaN where no
    machine has both.
    """
    total, count = _nothing(draws), _nothing(draws)
    for split in splits:
        weights, machines = weights_of(split, draws), np.array(split.machines)
        for machine in sorted(set(split.machines)):
            clips = machines == machine
            labels = split.is_anomalous[clips]
            areas = weighted_areas(split.scores[clips], labels, weights[:, clips], max_rate=max_rate)
            takes = {
                take for take, is_in in zip(split.recording_ids, clips & ~split.is_anomalous, strict=True) if is_in
            }
            times = np.sum([draws[take] for take in takes], axis=0) if takes else np.zeros(len(weights))
            times = times * (weights[:, clips] @ labels > 0)
            total += np.where(times > 0, areas, 0.0) * times
            count += times
    return _shares(total, count)


def pooled_f1(splits: Sequence[SplitDecisions], draws: Draws) -> FloatArray:
    """(R,) F1 of clips, counted over all splits, each with its own threshold."""
    hits, total = _nothing(draws), _nothing(draws)
    for split in splits:
        weights, flagged = weights_of(split, draws), split.scores >= split.threshold
        hits += 2 * weights @ (flagged & split.is_anomalous)
        total += weights @ (flagged.astype(float) + split.is_anomalous)
    return _shares(hits, total)


def pooled_event_f1(splits: Sequence[SplitDecisions], draws: Draws) -> FloatArray:
    """(R,) event-based F1, counted over all splits; NaN unless events are known in all."""
    return _event_f1(splits, draws, "matched", "labelled", "flagged")


def pooled_segment_f1(splits: Sequence[SplitDecisions], draws: Draws) -> FloatArray:
    """(R,) segment-based F1, counted over all splits; NaN unless events are known in all."""
    return _event_f1(splits, draws, "shared_segments", "labelled_segments", "flagged_segments")


def _event_f1(splits: Sequence[SplitDecisions], draws: Draws, matched: str, *there: str) -> FloatArray:
    """F1 from counts of these names in EventCounts."""
    hits, total = _nothing(draws), _nothing(draws)
    for split in splits:
        if split.events is None:
            return np.full(len(hits), np.nan)
        weights = weights_of(split, draws)
        hits += 2 * weights @ getattr(split.events, matched)
        total += sum(weights @ getattr(split.events, name) for name in there)
    return _shares(hits, total)


def _nothing(draws: Draws) -> FloatArray:
    return np.zeros(len(next(iter(draws.values()))))


def _shares(hits: FloatArray, total: FloatArray) -> FloatArray:
    shares: FloatArray = np.divide(hits, total, out=np.full(total.shape, np.nan), where=total > 0)
    return shares


METRICS: Mapping[str, Callable[[Sequence[SplitDecisions], Draws], FloatArray]] = {
    "auc": mean_area,
    "pauc": lambda splits, draws: mean_area(splits, draws, max_rate=MAX_FALSE_POSITIVE_RATE),
    "f1": pooled_f1,
    "event_f1": pooled_event_f1,
    "segment_f1": pooled_segment_f1,
}
"""By the name that a figure has in all files and pages."""


def of_machine(split: SplitDecisions, machine: str) -> SplitDecisions:
    """The decisions about the clips of one machine, without events."""
    rows = np.array([each == machine for each in split.machines])
    return SplitDecisions(
        scores=split.scores[rows],
        threshold=split.threshold,
        is_anomalous=split.is_anomalous[rows],
        recording_ids=tuple(take for take, is_in in zip(split.recording_ids, rows, strict=True) if is_in),
        machines=(machine,) * int(rows.sum()),
    )
