"""How far a study's figures generalise: seeds, validation against test, missed faults; in the result and the report."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.decision.score_file import ScoredClips
from hpo.pages.generalization_tables import flagged_view, gap_sentence, gaps_view, seeds_view, spread_sentence
from hpo.pages.table import Table
from hpo.results.generalization import seed_rows, split_gaps
from hpo.results.missed_faults import missed_fault_rows
from hpo.results.winner import Finalist, SeedTraining, choose_finalist
from hpo.search.trial_record import TrialRecord
from tests.frame_scores import frame_scores


def trial(number: int, **facts: float) -> TrialRecord:
    state = "complete" if facts else "failed"
    f1 = facts.get("val_f1")
    return TrialRecord(
        number=number, state=state, objective=f1, parameters={}, epochs=({},), facts=facts, failure=None, seconds=1.0
    )


def figures(val_f1: float, test_f1: float) -> dict[str, float]:
    return {"val_f1": val_f1, "val_auc": val_f1 + 0.1, "test_f1": test_f1, "test_auc": test_f1 - 0.1}


def finalist(number: int, *f1s: tuple[float, float] | None) -> Finalist:
    """Validation and test F1 by seed; None is a training that failed."""
    records = [trial(i, **(figures(*each) if each else {})) for i, each in enumerate(f1s)]
    seeds = [SeedTraining(seed=i, record=each, directory=Path()) for i, each in enumerate(records, start=1)]
    return Finalist(number=number, epochs=1, seeds=tuple(seeds))


def scored(*clips: tuple[str, str, str]) -> ScoredClips:
    """Take, machine and condition of each clip."""
    takes, machines, conditions = zip(*clips, strict=True)
    nothing = np.zeros((len(clips), 1, 1), dtype=np.float32)
    return ScoredClips(
        scores=frame_scores(nothing),
        recording_ids=takes,
        machines=machines,
        conditions=conditions,
        is_anomalous=np.array([condition != "normal" for condition in conditions]),
    )


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in table.rows]


@pytest.fixture
def faults() -> list[dict[str, Any]]:
    """A take with one of two clips flagged, a missed take, a false alarm, and conditions that one split lacks."""
    bent = ("bent-1", "car", "bent"), ("bent-1", "car", "bent"), ("bent-2", "car", "bent")
    validation = scored(*bent, ("normal-1", "car", "normal"), ("normal-2", "car", "normal"))
    test = scored(("loose-1", "engine", "<loose>"), ("normal-3", "car", "normal"))
    flagged = {"validation": np.array([False, True, False, True, False]), "test": np.array([False, False])}
    return missed_fault_rows(flagged, {"validation": validation, "test": test})


def test_a_take_is_missed_when_none_of_its_clips_is_flagged(faults: list[dict[str, Any]]) -> None:
    rows = {(row["machine"], row["condition"]): row for row in faults}
    assert list(rows) == [("car", "normal"), ("car", "bent"), ("engine", "<loose>")]
    bent = rows["car", "bent"]["validation"]
    assert (bent["num_clips"], bent["num_takes"], bent["num_flagged"]) == (3, 2, 1)
    assert bent["share_flagged"] == pytest.approx(1 / 3)
    assert (bent["takes_flagged"], bent["takes_missed"]) == (["bent-1"], ["bent-2"])
    assert rows["car", "bent"]["test"] is None
    assert rows["engine", "<loose>"]["validation"] is None
    assert rows["engine", "<loose>"]["test"]["takes_missed"] == ["loose-1"]
    assert rows["car", "normal"]["validation"]["takes_flagged"] == ["normal-1"]
    assert rows["car", "normal"]["test"]["takes_flagged"] == []


def test_the_report_names_missed_takes_and_takes_with_false_alarms(faults: list[dict[str, Any]]) -> None:
    flagged = flagged_view(faults)
    assert flagged is not None
    assert texts(flagged.faults) == [
        ["car", "bent", "3", "2", "33 %", "bent-2", "–", "–", "–", ""],
        ["engine", "<loose>", "–", "–", "–", "", "1", "1", "0 %", "loose-1"],
    ]
    assert texts(flagged.false_alarms) == [["car", "normal", "2", "2", "50 %", "normal-1", "1", "1", "0 %", ""]]
    assert flagged_view([]) is None


def test_seeds_have_mean_and_spread_and_a_failure_counts_as_zero() -> None:
    finalists = [finalist(4, (0.9, 0.5), (0.6, 0.4), None), finalist(7, (0.8, 0.7), (0.6, 0.5), (0.7, 0.6))]
    rows = seed_rows(finalists, choose_finalist(finalists))
    assert [(row["trial"], row["is_winner"], row["seed_of_file"]) for row in rows] == [(4, False, 1), (7, True, 1)]
    assert rows[0]["validation"]["f1_mean"] == pytest.approx(0.5)
    assert rows[1]["validation"]["f1_spread"] == pytest.approx(0.1)
    assert rows[1]["test"]["auc_mean"] == pytest.approx(0.5)
    seeds = seeds_view(rows, objective="F1")
    assert seeds is not None
    first, second = texts(seeds.table)
    assert first[3:5] == ["failed", "0.500 ± 0.458"]
    assert second[4:6] == ["0.700 ± 0.100"] * 2, "the objective is F1"
    assert [row.cells[0].tags for row in seeds.table.rows] == [(), ("winner",)]
    assert seeds_view([], objective="F1") is None


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([(0.6, 0.6), (0.65, 0.6)], "is larger than the distance"),
        ([(0.1, 0.1), (0.2, 0.1)], "is no larger than the distance"),
        (None, "no other finalist"),
    ],
)
def test_the_spread_over_seeds_is_compared_with_the_distance_of_the_finalists(others: Any, said: str) -> None:
    finalists = [finalist(0, (0.7, 0.6), (0.6, 0.6)), *([finalist(1, *others)] if others else [])]
    assert said in spread_sentence(seed_rows(finalists, finalists[0]), objective="F1")


def test_the_gap_of_the_winner_is_compared_with_that_of_all_trials() -> None:
    records = [trial(0, **figures(0.6, 0.5)), trial(1, **figures(0.8, 0.5)), trial(2)]
    finalists = [finalist(1, (0.8, 0.5), (0.7, 0.6))]
    winner = {"trial": 1, "validation": {"f1": 0.8, "auc": 0.9}, "test": {"f1": 0.5, "auc": 0.4}}
    own, again, complete = split_gaps(winner, finalists, records)
    assert (own["f1"], own["auc"]) == (pytest.approx(0.3), pytest.approx(0.5))
    assert (again["num_trainings"], again["f1"]) == (2, pytest.approx(0.2))
    assert (complete["trials"], complete["f1"]) == ([0, 1], pytest.approx(0.2))
    assert complete["auc"] == pytest.approx(0.4)
    assert "The winner's gap is +0.100 from that (AUC +0.100). Choosing on validation flatters" in gap_sentence(
        [own, again, complete], has_other_threshold=False
    )
    assert "did not flatter" in gap_sentence([complete, own], has_other_threshold=False)
    assert "flatter" not in gap_sentence([own, again, complete], has_other_threshold=True)
    gaps = gaps_view([own, again, complete], has_other_threshold=False)
    assert gaps is not None
    assert [row[2] for row in texts(gaps.table)] == ["+0.300", "+0.200", "+0.200"]
    assert gaps_view([], has_other_threshold=False) is None
    assert split_gaps(None, [], []) == []
