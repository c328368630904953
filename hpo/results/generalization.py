"""How far a study's figures can be trusted: what other seeds come to, and how far validation and test differ."""

from collections.abc import Iterable, Mapping
from statistics import fmean, stdev
from typing import Any

from hpo.results.winner import Finalist, has_score
from hpo.search.trial_record import TrialRecord

FIGURES = {"validation": {"f1": "val_f1", "auc": "val_auc"}, "test": {"f1": "test_f1", "auc": "test_auc"}}
"""Names in the result, by split, and in a trial's facts."""


def seed_rows(finalists: Iterable[Finalist], winner: Finalist | None) -> list[dict[str, Any]]:
    """The finalists in result.json: figures of every seed, and their means and spreads over the seeds."""
    return [
        {
            "trial": finalist.number,
            "is_winner": finalist is winner,
            "epochs": finalist.epochs,
            "seed_of_file": finalist.best.seed if finalist.best else None,
            "seeds": [
                {"seed": each.seed, "state": each.record.state, "epochs": len(each.record.epochs)}
                | _of_seed(finalist, i)
                for i, each in enumerate(finalist.seeds)
            ],
            **{split: _mean_and_spread(finalist, split) for split in FIGURES},
        }
        for finalist in finalists
    ]


def _of_seed(finalist: Finalist, index: int) -> dict[str, dict[str, float]]:
    return {
        split: {kind: finalist.values(name)[index] for kind, name in names.items()} for split, names in FIGURES.items()
    }


def _mean_and_spread(finalist: Finalist, split: str) -> dict[str, float]:
    """`f1_mean`, `f1_spread` and the same of the AUC; the spread is the sample's standard deviation."""
    row: dict[str, float] = {}
    for kind, name in FIGURES[split].items():
        values = finalist.values(name)
        row |= {f"{kind}_mean": fmean(values), f"{kind}_spread": stdev(values)}
    return row


def split_gaps(
    winner: Mapping[str, Any] | None, finalists: Iterable[Finalist], records: Iterable[TrialRecord]
) -> list[dict[str, Any]]:
    """Validation minus test, F1 and AUC: of the winner's file, of every finalist over its seeds, of all complete
    trials. Nothing chose the last, so their mean is how much easier the validation clips are; what the others have
    beyond it is what choosing on validation costs."""
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
