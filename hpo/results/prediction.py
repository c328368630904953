"""How well trials predict healthy sound, beside how well they find injected faults.

Where no real fault was heard, both are all that is known of a trial. Prediction is shown and chooses nothing: a network
can predict healthy sound better and find fewer faults.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from core.decision.healthy_prediction import HEALTHY_BITS_SAVED
from hpo.results.winner import has_score
from hpo.search.trial_record import TrialRecord

MIN_TRIALS = 5
"""A rank correlation of fewer says nothing."""


def prediction_of(records: Sequence[TrialRecord], winner: int | None) -> dict[str, Any] | None:
    """`prediction` of result.json; None unless trials with a score have the metric."""
    found = [
        (record, bits) for record in records if has_score(record) and (bits := healthy_bits_saved(record)) is not None
    ]
    if not found:
        return None
    best, most = max(found, key=lambda pair: pair[1])
    bits_of = {record.number: bits for record, bits in found}
    correlation = _rank_correlation([record.facts["val_auc"] for record, _ in found], [bits for _, bits in found])
    return {
        "best_trial": best.number,
        "best_bits_saved": most,
        "winner_bits_saved": bits_of.get(winner) if winner is not None else None,
        "rank_correlation": correlation,
        "num_trials": len(found),
        "sentence": _sentence(best.number, most, winner, bits_of, correlation),
    }


def healthy_bits_saved(record: TrialRecord) -> float | None:
    """At the trial's best epoch, in bits a sample."""
    rows = (row for row in record.epochs if row["epoch"] == record.facts.get("best_epoch"))
    return next((row.get(HEALTHY_BITS_SAVED) for row in rows), None)


def _rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's; None for too few trials, and where one of both is the same in all."""
    ranks = [rankdata(values) for values in (first, second)]
    if len(first) < MIN_TRIALS or any(np.ptp(each) == 0 for each in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _sentence(best: int, most: float, winner: int | None, bits_of: dict[int, float], correlation: float | None) -> str:
    text = f"Trial {best} predicts healthy sound best: {most:.3f} bits a sample saved on calibration takes"
    if winner is not None and winner != best and winner in bits_of:
        text += f", the winner {bits_of[winner]:.3f}"
    text += ". That is shown and chooses nothing, because a network that predicts better need not find more faults"
    if correlation is not None:
        text += f" (over {len(bits_of)} trials its rank correlation with AUC on injected faults is {correlation:+.2f})"
    return f"{text}."
