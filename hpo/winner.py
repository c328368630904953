"""Which trial won: the one rule, used by the result, the report and the plots. Test figures do not enter it."""

import math
from collections.abc import Iterable

from hpo.trial_record import TrialRecord


def choose_winner(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """Highest validation F1, ties by validation AUC, then by fewer weights, then by the lower number.

    Only complete trials with a finite F1 can win; an AUC or a size that is missing or NaN loses its tie.
    None when nothing can win.
    """
    return min(filter(has_score, records), key=_rank, default=None)


def has_score(record: TrialRecord) -> bool:
    """Whether a trial is complete with a finite F1, and so can be ranked and plotted."""
    return record.val_f1 is not None and math.isfinite(record.val_f1)


def _rank(record: TrialRecord) -> tuple[float, float, float, int]:
    assert record.val_f1 is not None
    val_auc = _finite(record.facts.get("val_auc"), missing=-math.inf)
    num_weights = _finite(record.facts.get("num_weights"), missing=math.inf)
    return -record.val_f1, -val_auc, num_weights, record.number


def _finite(value: object, *, missing: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else missing
