"""The rule that chooses the winner, for the result, the report and the plots. It does not use test figures.

A single training may be lucky. So the best trials, the finalists, are trained again with new seeds, and the winner is
the finalist with the best mean over all seeds.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from hpo.search.trial_record import TrialRecord

DECIMALS_OF_A_TIE = 9
"""Means that are equal to this precision are equal; the rest is rounding."""


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
    def best(self) -> SeedTraining | None:
        """The training with the highest objective, then AUC, then the lower seed; None where all have failed."""
        complete = [each for each in self.seeds if has_score(each.record)]
        return min(complete, key=lambda each: _rank(each.record), default=None)


def choose_winner(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """Highest objective, ties by validation AUC, then by fewer weights, then by the lower number.

    Only complete trials with a finite objective can win; an AUC or a size that is missing or NaN loses its tie.
    None when nothing can win.
    """
    return min(filter(has_score, records), key=_rank, default=None)


def choose_best(records: Iterable[TrialRecord], count: int) -> list[TrialRecord]:
    """At most `count` trials, best first, by the same rule: the finalists."""
    return sorted(filter(has_score, records), key=_rank)[:count]


def choose_finalist(finalists: Iterable[Finalist]) -> Finalist | None:
    """Highest mean objective over the seeds, ties by mean validation AUC, then by fewer weights, then by the lower
    number. None when no finalist has a complete training."""
    return min((each for each in finalists if each.best is not None), key=_rank_of_means, default=None)


def has_score(record: TrialRecord) -> bool:
    """Whether a trial is complete with a finite objective, and so can be ranked and plotted."""
    return record.objective is not None and math.isfinite(record.objective)


def _rank(record: TrialRecord) -> tuple[float, float, float, int]:
    assert record.objective is not None
    val_auc = _finite(record.facts.get("val_auc"), missing=-math.inf)
    num_weights = _finite(record.facts.get("num_weights"), missing=math.inf)
    return -record.objective, -val_auc, num_weights, record.number


def _rank_of_means(finalist: Finalist) -> tuple[float, float, float, int]:
    objective, val_auc = (
        round(fmean(values), DECIMALS_OF_A_TIE) for values in (finalist.objectives, finalist.values("val_auc"))
    )
    num_weights = _finite(finalist.seeds[0].record.facts.get("num_weights"), missing=math.inf)
    return -objective, -_finite(val_auc, missing=-math.inf), num_weights, finalist.number


def _finite(value: object, *, missing: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else missing
