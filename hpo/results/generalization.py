"""How far a study's metrics generalise: over seeds, and from validation to test."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from hpo.results.winner import Finalist, has_score
from hpo.search.trial_record import TrialRecord

FIGURES = {"validation": {"f1": "val_f1", "auc": "val_auc"}, "test": {"f1": "test_f1", "auc": "test_auc"}}
"""By split, the names of metrics in result.json, each with its name in a trial's facts."""


def seed_rows(finalists: Iterable[Finalist], winner: Finalist | None) -> list[dict[str, Any]]:
    """`finalists` of result.json: the objective and the metrics of every seed, and their means and spreads over the
    seeds."""
    return [
        {
            "trial": finalist.number,
            "is_winner": finalist == winner,
            "epochs": finalist.epochs,
            "seed_of_file": finalist.best.seed if finalist.best else None,
            "seeds": [
                {"seed": each.seed, "state": each.record.state, "epochs": len(each.record.epochs)}
                | {"objective": finalist.objectives[i]}
                | _of_seed(finalist, i)
                for i, each in enumerate(finalist.seeds)
            ],
            **_mean_and_spread("objective", finalist.objectives),
            **{
                split: {
                    key: value
                    for kind, name in names.items()
                    for key, value in _mean_and_spread(kind, finalist.values(name)).items()
                }
                for split, names in FIGURES.items()
            },
        }
        for finalist in finalists
    ]


def _of_seed(finalist: Finalist, index: int) -> dict[str, dict[str, float]]:
    return {
        split: {kind: finalist.values(name)[index] for kind, name in names.items()} for split, names in FIGURES.items()
    }


def _mean_and_spread(kind: str, values: Sequence[float]) -> dict[str, float]:
    """`..._mean` and `..._spread`, which is the sample standard deviation."""
    return {f"{kind}_mean": fmean(values), f"{kind}_spread": stdev(values)}


def split_gaps(
    winner: Mapping[str, Any] | None, finalists: Iterable[Finalist], records: Iterable[TrialRecord]
) -> list[dict[str, Any]]:
    """`gaps` of result.json: F1 and AUC of validation minus test of the winner's file, finalists and all trials.

    The complete trials were not chosen, so their mean gap says how much easier the validation clips are. The excess of
    the winner or of a finalist over it is the bias of choosing on validation.
    """
    if winner is None:
        return []
    own = {kind: winner["validation"][kind] - winner["test"][kind] for kind in ("f1", "auc")}
    complete = [record for record in records if has_score(record)]
    return [
        {"what": "winner", "trials": [winner["trial"]], "num_trainings": 1, **own},
        *(
            {"what": "finalist", "trials": [finalist.number], "num_trainings": len(finalist.seeds)}
            | {kind: _finalist_gap(finalist, kind) for kind in ("f1", "auc")}
            for finalist in finalists
        ),
        {"what": "complete", "trials": [record.number for record in complete], "num_trainings": len(complete)}
        | {kind: fmean(_gap(record, kind) for record in complete) for kind in ("f1", "auc")},
    ]


def _finalist_gap(finalist: Finalist, kind: str) -> float:
    return fmean(finalist.values(FIGURES["validation"][kind])) - fmean(finalist.values(FIGURES["test"][kind]))


def _gap(record: TrialRecord, kind: str) -> float:
    return float(record.facts[FIGURES["validation"][kind]]) - float(record.facts[FIGURES["test"][kind]])
