"""Intervals of a detector's AUC and F1 over any number of splits that hold for few takes, too.

Resampled takes of a perfect detector are perfect in every draw, so that the interval of three takes would be 1 to 1.
These follow from Clopper and Pearson (core/decision/exact_figures.py), with takes and not clips as the unit. Figures of
events, pAUC and differences between detectors keep the intervals of resampling.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from core.baselines.paired_bootstrap import Figure, SplitDecisions
from core.decision.exact_figures import Interval, f1_interval, num_independent_pairs, share_interval

EXACT = ("auc", "f1")


def with_exact_interval(
    figure: Figure, name: str, splits: Sequence[SplitDecisions], *, without: Collection[str] = ()
) -> Figure:
    """The figure with the exact interval where its metric has one; takes in `without` do not count."""
    if name not in EXACT or math.isnan(figure.value):
        return figure
    low, high = _of_auc(figure.value, splits, without) if name == "auc" else _of_f1(splits, without)
    return figure if math.isnan(low) else replace(figure, low=low, high=high)


def _of_auc(area: float, splits: Sequence[SplitDecisions], without: Collection[str]) -> Interval:
    """Of a mean over machines: each has its own independent pairs of takes."""
    takes: dict[tuple[str, bool], set[str]] = defaultdict(set)
    for split in splits:
        for take, machine, label in zip(split.recording_ids, split.machines, split.is_anomalous, strict=True):
            if take not in without:
                takes[machine, bool(label)].add(take)
    machines = {machine for machine, _ in takes}
    return share_interval(area, sum(num_independent_pairs(takes[name, True], takes[name, False]) for name in machines))


def _of_f1(splits: Sequence[SplitDecisions], without: Collection[str]) -> Interval:
    """From the worst of recall and of false alarms to the best of both, counted over all splits."""
    flagged = np.concatenate([split.scores >= split.threshold for split in splits])
    is_anomalous = np.concatenate([split.is_anomalous for split in splits])
    takes = np.array([take for split in splits for take in split.recording_ids])
    counts = ~np.isin(takes, list(without))
    intervals = []
    for label in (True, False):
        rows = counts & (is_anomalous == label)
        share = float(flagged[rows].mean()) if rows.any() else math.nan
        intervals.append(share_interval(share, len(set(takes[rows]))))
    return f1_interval(*intervals, prevalence=float(is_anomalous[counts].mean()))
