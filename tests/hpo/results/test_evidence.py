"""A winner that could be chance is called unproven, in the result, on the terminal and in the report."""

import re
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from core.data.stand_ins import SENTENCES
from core.decision.calibration_curve import CalibrationPoint
from core.decision.chance import chance_p_value
from core.decision.exact_figures import exact_figures, f1_interval, share_interval
from core.decision.metrics import auc
from hpo.pages.evidence_figure import learning_curves_figure
from hpo.pages.evidence_tables import evidence_view
from hpo.results.evidence import evidence_of, times_to_prove
from hpo.summary import summary
from tests.hpo.pages.toy_study import page_of, result_of, toy_study


def figures_of(num_anomalous: int, num_normal: int, *, gap: float = 100.0, seed: int = 0) -> dict[str, Any]:
    """Of one clip a recording, as in result.json; `gap` is between the means of the classes, in sigmas."""
    is_anomalous = np.arange(num_anomalous + num_normal) < num_anomalous
    scores = np.random.default_rng(seed).standard_normal(len(is_anomalous)) + gap * is_anomalous
    exact = exact_figures(scores, is_anomalous, [str(i) for i in range(len(scores))], gap / 2, faults_last=False)
    counts = {"anomalous": exact.anomalous, "normal": exact.normal}
    return {
        "f1": 1.0,
        "f1_interval": exact.f1_interval,
        "recall": exact.recall,
        "false_alarms": exact.false_alarms,
        "false_alarms_interval": exact.false_alarms_interval,
        "auc": auc(scores, is_anomalous),
        "auc_interval": exact.auc_interval,
        "chance": asdict(exact.chance),
        "prevalence": num_anomalous / len(scores),
        "f1_flag_everything": 0.5,
        "num_clips": len(scores),
        "num_recordings": len(scores),
        "recordings": {
            name: {
                "num_recordings": each.num_recordings,
                "num_flagged": each.num_flagged,
                "flagged_interval": each.interval,
            }
            for name, each in counts.items()
        },
    }


def evidence(test: dict[str, Any]) -> dict[str, Any]:
    found = evidence_of({"test": test})
    assert found is not None
    return found


def result_with(test: dict[str, Any]) -> dict[str, Any]:
    winner = {"trial": 3, "seed": 1, "parameters": {"window_ms": 5.0}, "validation": test, "test": test}
    return {
        "trials": {"complete": 4},
        "detector_found": True,
        "evidence": evidence(test),
        "finalists": [],
        "winner": winner | {"per_machine": {"car": {"test": test}}},
        "default": None,
    }


def test_three_perfect_test_recordings_prove_nothing() -> None:
    test = figures_of(1, 2)
    found = evidence(test)
    assert not found["is_proven"]
    assert not found["is_enough"]
    assert found["banner"].startswith("Too few recordings to tell: the test has 1 anomalous and 2 normal ones")
    assert found["advice"][0].startswith("A perfect detector can be told from chance by 3 anomalous and 3 normal test")


def test_an_unproven_winner_is_announced_as_such_with_its_file_and_command(tmp_path: Any) -> None:
    lines = summary(result_with(figures_of(1, 2)), tmp_path)
    text = "\n".join(lines)
    assert "Winner, unproven: trial 3 (4 complete)" in lines
    assert "1.000 to 1.000" not in text
    assert "Too few recordings to tell" in text
    assert re.search(r"^Detector: .*checkpoint", text, re.MULTILINE)
    assert re.search(r"^Use it: .*core.detect ", text, re.MULTILINE)


def test_enough_recordings_that_are_told_apart_are_proof(tmp_path: Any) -> None:
    found = evidence(figures_of(8, 8))
    assert found["is_proven"]
    assert found["banner"] is None
    assert "Winner: trial 3 (4 complete)" in summary(result_with(figures_of(8, 8)), tmp_path)


def test_a_winner_that_could_be_chance_is_unproven_with_enough_recordings_too() -> None:
    found = evidence(figures_of(8, 8, gap=0.0, seed=1))
    assert found["is_enough"]
    assert not found["is_proven"]
    assert found["banner"].startswith("The winner could be chance: its test AUC over 16 recordings has p ")


@pytest.mark.parametrize(
    ("num_each", "words"), [(4, "Too few recordings to tell: the test has 4 recordings, each"), (9, "sign")]
)
def test_recordings_that_are_compared_with_themselves_are_explained_by_their_own_test(
    num_each: int, words: str
) -> None:
    """A sign test of four cannot be significant; the test of two classes of four could be."""
    test = figures_of(num_each, num_each)
    test["chance"] |= {"p_value": max(0.07, 0.5**num_each), "is_paired": True}
    found = evidence(test)
    assert found["is_enough"] == (num_each >= 5)
    assert words in found["banner"]
    assert any("by 5 test recordings, each with a fault" in each for each in found["advice"]) == (num_each < 5)


def test_the_advice_holds_where_it_is_followed() -> None:
    """Recordings of the same kind, as many times as it says, are about as often proof as not."""
    random = np.random.default_rng(0)
    times = times_to_prove(0.64, 8, 8)  # an AUC of normal distributions whose means are half a sigma apart
    assert times is not None
    num_proven = sum(
        chance_p_value(random.standard_normal(8 * times) + 0.5, random.standard_normal(8 * times)) <= 0.05
        for _ in range(200)
    )
    assert 90 <= num_proven <= 150
    assert times_to_prove(0.5, 8, 8) is None


def test_intervals_of_the_learning_curve_shrink() -> None:
    curve = evidence(figures_of(6, 6, gap=1.0))["learning_curve"]
    widths = [np.subtract(*row["f1_interval"][::-1]) for row in curve]
    assert widths == sorted(widths, reverse=True)
    assert [row["num_normal"] for row in curve] == [6, 12, 24, 48]


def test_so_many_times_the_recordings_halve_the_interval_and_one_time_less_does_not() -> None:
    test = figures_of(6, 6, gap=1.0)
    (sentence,) = [each for each in evidence(test)["advice"] if "would halve it" in each]
    times = int(re.search(r"(\d+) times as many", sentence)[1])  # type: ignore[index]
    widths = {each: np.subtract(*_interval(test, 6 * each)[::-1]) for each in (1, times - 1, times)}
    assert widths[times] <= widths[1] / 2 < widths[times - 1]


def _interval(test: dict[str, Any], num_each: int) -> tuple[float, float]:
    rates = [share_interval(test[name], num_each) for name in ("recall", "false_alarms")]
    return f1_interval(*rates, prevalence=0.5)


@pytest.mark.parametrize(("rise", "words"), [(0.05, "should help"), (0.001, "would hardly help"), (-0.05, "hardly")])
def test_more_calibration_recordings_are_advised_where_the_last_doubling_helped(rise: float, words: str) -> None:
    points = [
        CalibrationPoint(num_takes=4, auc=0.8, f1=0.7, f1_range=(0.6, 0.8)),
        CalibrationPoint(num_takes=8, auc=0.8, f1=0.7 + rise, f1_range=(0.7, 0.7)),
    ]
    found = evidence_of({"test": figures_of(8, 8)}, points)
    assert found is not None
    assert f"F1 of 0.700 in place of {0.7 + rise:.3f}" in found["calibration_sentence"]
    assert words in found["calibration_sentence"]


def test_the_curve_of_test_recordings_is_left_out_where_something_stood_in_for_them() -> None:
    points = [CalibrationPoint(num_takes=n, auc=0.8, f1=0.7, f1_range=(0.6, 0.8)) for n in (1, 2, 4)]
    test = figures_of(8, 8, gap=1.0)

    def names(**winner: Any) -> list[str]:
        found = evidence_of({"test": test} | winner, points)
        figure = found and learning_curves_figure(found)
        return [trace.name for trace in figure.data] if figure else []

    assert names() == ["test F1 and its interval", "with more recordings", "validation F1", "validation AUC"]
    assert names(stand_ins=["faults"]) == ["validation F1", "validation AUC"]
    assert learning_curves_figure(evidence(test) | {"stand_ins": ["faults"]}) is None


def test_without_a_winner_or_test_clips_there_is_no_evidence() -> None:
    assert evidence_of(None) is None
    assert evidence_of({"test": {}}) is None
    assert evidence_view(None, {}) is None


@pytest.mark.parametrize(("num_each", "is_proven"), [(2, False), (8, True)])
def test_the_report_has_the_banner_and_the_curve(num_each: int, is_proven: bool) -> None:
    study, test = toy_study(), figures_of(num_each, num_each)
    winner = page_of_winner(study, test)
    assert ("Too few recordings to tell" in winner) is not is_proven
    assert ("<b>Unproven: trial" in winner) is not is_proven
    assert "How much more to record" in winner
    assert "With twice as many test recordings" in winner
    assert 'id="figure-learning_curves"' in winner


@pytest.mark.parametrize("stand_ins", [["faults"], ["parts"], ["faults", "parts"]])
def test_what_stood_in_for_recordings_proves_nothing_however_good_the_figures(
    stand_ins: list[str], tmp_path: Any
) -> None:
    test = figures_of(8, 8)
    found = evidence_of({"test": test, "stand_ins": stand_ins})
    assert found is not None
    assert found["p_value"] < 0.001
    assert not found["is_proven"]
    assert found["stand_ins"] == stand_ins
    for name in stand_ins:
        assert SENTENCES[name] in found["banner"]
    result = result_with(test) | {"evidence": found}
    assert "Winner, unproven: trial 3 (4 complete)" in summary(result, tmp_path)
    study = toy_study()
    page = page_of(study, winner=result_of(study)["winner"] | {"test": test}, evidence=found)
    assert all(SENTENCES[name] in page for name in stand_ins)
    assert "<b>Unproven: trial" in page


def page_of_winner(study: Any, test: dict[str, Any]) -> str:
    winner = result_of(study)["winner"] | {"test": test}
    return page_of(study, winner=winner, evidence=evidence(test))


def test_partly_faulty_recordings_are_counted_once_where_recordings_are_counted(tmp_path: Any) -> None:
    """Two recordings with a fault in part of them and one healthy one are three, not two and three."""
    scores, is_anomalous = np.array([9.0, 0, 8, 1, 2]), np.array([True, False, True, False, False])
    exact = exact_figures(scores, is_anomalous, ["a", "a", "b", "b", "c"], 5.0, faults_last=False)
    test = figures_of(2, 3) | {"num_recordings": 3, "chance": asdict(exact.chance)}
    found = evidence(test)
    assert found["num_partly_faulty"] == 2
    assert [row["num_recordings"] for row in found["learning_curve"]] == [3, 6, 12, 24]
    assert found["banner"].startswith("Too few recordings to tell: the test has 2 recordings, each with a fault and")
    text = "\n".join(summary(result_with(test), tmp_path))
    assert "counting the healthy part of 2 anomalous ones" in text
    assert "(6 in place of 3)" in text
    view = evidence_view(found, test)
    assert view is not None
    assert "2 recordings are faulty in part" in view.sentence
