"""The rule that chooses the winner, for the result, the report and the plots. It does not use test figures.

    The default configuration (trial 0) wins, unless the best trial's objective on validation is higher by more than
    one standard error over takes, or trial 0 is no better than flagging everything. Then the best trial wins.

This is the one-standard-error rule (Breiman and others, 1984) with the default as the simple choice: the best of many
trials on a few takes is ahead by luck. A single training may be lucky, too. So the best trials by this rule, the
finalists, are trained again with new seeds, and the same rule chooses among them by the mean over all seeds. Trials of
an earlier version lack what a standard error needs; then the highest objective wins.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from core.decision.take_counts import TakeCounts, standard_error
from hpo.search.trial_record import TrialRecord

LEAST_LEAD = 0.0005
"""A lead that three decimals do not show is none: where all is found, expected F1 still rises with the threshold."""
DECIMALS_OF_A_TIE = 9
"""Means that are equal to this precision are equal; the rest is rounding."""
DECIMALS_OF_FLAGGING_EVERYTHING = 5
"""Likewise, for an objective and what flagging everything has."""


@dataclass(frozen=True, kw_only=True)
class SeedTraining:
    """One training of a trial's configuration, and the folder of its files."""

    seed: int
    """1 is the trial's own seed; 2 and more are new seeds."""
    record: TrialRecord
    directory: Path


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """A trial of the search with its trainings by seed."""

    number: int
    epochs: int
    """Epochs of each complete training."""
    seeds: tuple[SeedTraining, ...]

    def values(self, name: str) -> list[float]:
        """A metric (`val_f1`, `val_auc`, `test_f1`, `test_auc`) of each seed, at its best epoch.

        A failed training counts as 0, so that a configuration that sometimes diverges has a lower mean.
        """
        return [float(each.record.facts[name]) if has_score(each.record) else 0.0 for each in self.seeds]

    @property
    def objectives(self) -> list[float]:
        """The value of the study's objective for each seed; 0 for a failed training."""
        return [(each.record.objective or 0.0) if has_score(each.record) else 0.0 for each in self.seeds]

    @property
    def value_of_flagging_everything(self) -> float | None:
        """What the objective would be; None for trials of an earlier version, which do not tell."""
        counts = _counts([each.record for each in self.seeds if has_score(each.record)])
        return counts[0].f1_flag_everything if counts else None

    @property
    def best(self) -> SeedTraining | None:
        """The training with the highest objective, then AUC, then the lower seed; None where all have failed."""
        complete = [each for each in self.seeds if has_score(each.record)]
        return min(complete, key=lambda each: _rank(each.record), default=None)


@dataclass(frozen=True, kw_only=True)
class Lead:
    """How far the best is ahead of the default configuration."""

    best: int
    """Its trial's number."""
    difference: float
    """Of the objective, or of its mean over the seeds."""
    standard_error: float | None
    """Of the difference, over validation takes; None where a trial of an earlier version does not tell."""
    default_is_a_detector: bool = True
    """Whether it is better than flagging everything."""

    @property
    def is_none(self) -> bool:
        return self.difference < LEAST_LEAD

    @property
    def is_within_an_error(self) -> bool:
        if self.standard_error is None:
            return False
        return self.is_none or round(self.difference - self.standard_error, DECIMALS_OF_A_TIE) <= 0

    @property
    def default_wins(self) -> bool:
        return self.is_within_an_error and self.default_is_a_detector


def choose_winner(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The default, if it is a detector and within one standard error of the best; else the best. None when nothing can
    win.

    The best has the highest objective; ties are broken by validation AUC, then by fewer weights, then by the lower
    number. Only complete trials with a finite objective can win; an AUC or a size that is missing or NaN loses its tie.
    """
    return next(iter(choose_best(records, 1)), None)


def choose_best(records: Iterable[TrialRecord], count: int) -> list[TrialRecord]:
    """At most `count` trials, best first, by the same rule: the finalists."""
    ranked = by_objective(records)
    lead = lead_of_trials(ranked)
    if lead is not None and lead.default_wins:
        ranked.sort(key=lambda record: not is_default(record.number))
    return ranked[:count]


def choose_finalist(finalists: Iterable[Finalist]) -> Finalist | None:
    """The default, if it is a finalist, a detector, and within one standard error of the best mean over the seeds; else
    the best.

    Ties are broken by mean validation AUC, then by fewer weights, then by the lower number. None when no finalist has a
    complete training.
    """
    ranked = _by_mean(finalists)
    lead = lead_of_finalists(ranked)
    if lead is not None and lead.default_wins:
        return next(each for each in ranked if is_default(each.number))
    return ranked[0] if ranked else None


def by_objective(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The trials that can win, the highest objective first."""
    return sorted(filter(has_score, records), key=_rank)


def highest(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The trial with the highest objective, which is shown while a study runs; None where none is complete."""
    return next(iter(by_objective(records)), None)


def lead_of_trials(records: Iterable[TrialRecord]) -> Lead | None:
    """How far the best trial is ahead of trial 0; None where trial 0 is not complete."""
    ranked = by_objective(records)
    default = next((record for record in ranked if is_default(record.number)), None)
    if default is None:
        return None
    sides = [(record.objective or 0.0, [record]) for record in (ranked[0], default)]
    return _lead(ranked[0].number, *sides, num_seeds=1)


def lead_of_finalists(finalists: Iterable[Finalist]) -> Lead | None:
    """How far the best finalist is ahead of trial 0; None where trial 0 is no finalist with a complete training."""
    ranked = _by_mean(finalists)
    default = next((each for each in ranked if is_default(each.number)), None)
    if default is None:
        return None
    sides = [
        (fmean(each.objectives), [seed.record for seed in each.seeds if has_score(seed.record)])
        for each in (ranked[0], default)
    ]
    return _lead(ranked[0].number, *sides, num_seeds=len(default.seeds))


def is_above(objective: float, flagging_everything: float) -> bool:
    """Whether it is better than flagging everything."""
    return round(objective - flagging_everything, DECIMALS_OF_FLAGGING_EVERYTHING) > 0


def is_default(number: int) -> bool:
    """Whether the trial of this number has the default configuration, which is the first of every study."""
    return number == 0


def has_score(record: TrialRecord) -> bool:
    """Whether a trial is complete with a finite objective, and so can be ranked and plotted."""
    return record.objective is not None and math.isfinite(record.objective)


_Side = tuple[float, Sequence[TrialRecord]]
"""An objective, or its mean, with the trainings that have it."""


def _lead(number: int, best: _Side, default: _Side, *, num_seeds: int) -> Lead:
    counts = [_counts(records) for _, records in (best, default)]
    return Lead(
        best=number,
        difference=best[0] - default[0],
        standard_error=standard_error(*counts, num_seeds=num_seeds),
        default_is_a_detector=not counts[1] or is_above(default[0], counts[1][0].f1_flag_everything),
    )


def _counts(records: Sequence[TrialRecord]) -> list[TakeCounts]:
    """Of all trainings; empty where one does not have them."""
    counts = [record.take_counts for record in records if record.take_counts is not None]
    return counts if len(counts) == len(records) else []


def _rank(record: TrialRecord) -> tuple[float, float, float, int]:
    assert record.objective is not None
    val_auc = _finite(record.facts.get("val_auc"), missing=-math.inf)
    num_weights = _finite(record.facts.get("num_weights"), missing=math.inf)
    return -record.objective, -val_auc, num_weights, record.number


def _by_mean(finalists: Iterable[Finalist]) -> list[Finalist]:
    """Those with a complete training, the highest mean objective first."""
    return sorted((each for each in finalists if each.best is not None), key=_rank_of_means)


def _rank_of_means(finalist: Finalist) -> tuple[float, float, float, int]:
    objective, val_auc = (
        round(fmean(values), DECIMALS_OF_A_TIE) for values in (finalist.objectives, finalist.values("val_auc"))
    )
    num_weights = _finite(finalist.seeds[0].record.facts.get("num_weights"), missing=math.inf)
    return -objective, -_finite(val_auc, missing=-math.inf), num_weights, finalist.number


def _finite(value: object, *, missing: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else missing
