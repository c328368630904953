"""--folds and --compare: each fold is a study, the summary covers all of them, and nothing is computed twice."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo.results.alternatives
import hpo.run_study
from core.baselines import families
from core.baselines.choice import Choice
from core.baselines.comparison import Row, compare
from core.baselines.comparison_file import load_rows, rows_from_json, rows_to_json
from core.baselines.paired_bootstrap import SplitDecisions
from core.decision.checkpoint import DETECTOR_FILE, load_detector
from core.decision.event_metrics import event_counts
from core.decision.postprocess import PostprocessingConfig
from core.decision.score_file import load_scores
from core.experiment import SCORES_FILE
from hpo.folds import spreads_of
from hpo.pages.folds_page import difference_of, verdict_of
from hpo.results.alternatives import COMPARISON_FILE, UNFINISHED_FILE, WAVENET
from hpo.results.result import WINNER_DIRECTORY

Command = Callable[..., str]
FOLDS = ("--folds", "3", "--trials", "1")
PROMISE = ("--set", "threshold.false_alarms=0.5")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alternatives that train for five steps."""
    monkeypatch.setattr(hpo.results.alternatives, "families", lambda: families([(5, 1e-3)]))


def names_of(runs: Path, fold: int) -> dict[str, set[str]]:
    """The takes of a fold's validation and test."""
    rows = np.load(runs / f"tiny-simulated.fold{fold}/trials/0000/frame_scores.npz")
    return {split: set(rows[f"{split}_recording_ids"].tolist()) for split in ("calibration", "validation", "test")}


@pytest.mark.usefixtures("quick")
def test_folds_are_separate_studies_with_one_summary(project: Path, run: Command) -> None:
    study = project / "studies/tiny.toml"
    study.write_text(study.read_text().replace("[clips]", "[split]\ncalibration_fraction = 0.5\n\n[clips]"))
    out = run(*FOLDS, "--compare")
    runs = project / "runs"
    results = [json.loads((runs / f"tiny-simulated.fold{fold}/result.json").read_text()) for fold in (1, 2, 3)]
    summary = json.loads((runs / "tiny-simulated.folds/folds.json").read_text())
    tested = [result["winner"]["test"]["auc"] for result in results]
    assert summary["figures"]["test_auc"]["values"] == tested
    assert summary["figures"]["test_auc"]["mean"] == pytest.approx(np.mean(tested))
    assert summary["figures"]["test_auc"]["deviation"] == pytest.approx(np.std(tested, ddof=1))
    detectors = [line["name"] for line in summary["comparison"]]
    assert detectors == [WAVENET, *families()]
    assert [line["name"] for line in results[0]["comparison"]] == detectors
    assert f"| {WAVENET} |" in out
    page = (runs / "tiny-simulated.folds/folds.html").read_text()
    report = (runs / "tiny-simulated.fold1/report.html").read_text()
    assert all(name in page and name in report for name in detectors)
    links = re.findall(r'href="(.*?)"', page)
    assert [(runs / "tiny-simulated.folds" / link).resolve() for link in links] == [
        runs / f"tiny-simulated.fold{fold}/report.html" for fold in (1, 2, 3)
    ]
    for fold in (1, 2, 3):
        parts = names_of(runs, fold)
        assert not parts["test"] & (parts["validation"] | parts["calibration"])
    normal = [{name for name in names_of(runs, fold)["test"] if "normal" in name} for fold in (1, 2, 3)]
    assert not normal[0] & normal[1]
    assert not normal[1] & normal[2]

    files = [runs / f"tiny-simulated.fold{fold}" / COMPARISON_FILE for fold in (1, 2, 3)]
    before = [file.stat().st_mtime_ns for file in files]
    run(*FOLDS)  # without --compare, and nothing is left to do
    assert [file.stat().st_mtime_ns for file in files] == before
    assert json.loads((runs / "tiny-simulated.folds/folds.json").read_text()) == summary
    assert "different settings" not in (runs / "tiny-simulated.folds/folds.html").read_text()
    report = (runs / "tiny-simulated.fold1/report.html").read_text()
    assert "Compared with the alternatives" in report, "a comparison stays in the report"

    out = run(*FOLDS, "--fold", "2", "--fresh", "--set", "threshold_sigmas=9")
    assert "over 3 folds" in out
    differ = "different settings (postprocessing.threshold_sigmas, space.threshold_sigmas)"
    assert differ in out
    assert differ in (runs / "tiny-simulated.folds/folds.html").read_text()
    winner = json.loads((runs / "tiny-simulated.fold2/result.json").read_text())["winner"]
    summary = json.loads((runs / "tiny-simulated.folds/folds.json").read_text())
    assert summary["figures"]["test_f1"]["values"][1] == winner["test"]["f1"] != results[1]["winner"]["test"]["f1"]


@pytest.mark.usefixtures("quick")
def test_a_new_winner_is_compared_again_and_an_old_comparison_is_not_shown_for_it(project: Path, run: Command) -> None:
    study = project / "runs/tiny-simulated"
    run("--trials", "1", *PROMISE, "--compare")
    assert json.loads((study / "result.json").read_text())["comparison"]
    rows = load_rows(study / COMPARISON_FILE)
    assert [row.name for row in rows] == [WAVENET, *families()]
    assert not (study / "compared").exists(), "there is one winner"
    detector = load_detector(study / WINNER_DIRECTORY / DETECTOR_FILE)
    winner = json.loads((study / "result.json").read_text())["winner"]
    test = load_scores((study / winner["checkpoint"]).parent / SCORES_FILE)["test"]
    judged = detector.statistic.judge(test.scores.of(detector.scoring.score), test.machines)
    np.testing.assert_array_equal(judged.clip_scores, rows[0].decisions.scores)
    assert detector.statistic.config == rows[0].choice.postprocessing
    assert rows[0].decisions.threshold == winner["threshold_sigmas"] != 3, "the promise sets it after the choice"
    assert rows[0].choice.f1 == pytest.approx(winner["validation"]["f1"])
    changed = json.loads((study / COMPARISON_FILE).read_text()) | {"key": "another winner's"}
    (study / COMPARISON_FILE).write_text(json.dumps(changed))
    run("--trials", "1", *PROMISE)
    assert json.loads((study / "result.json").read_text())["comparison"] == []
    run("--trials", "1", *PROMISE, "--compare")
    assert json.loads((study / "result.json").read_text())["comparison"]


@pytest.mark.usefixtures("quick")
def test_an_interrupted_comparison_goes_on_with_the_alternatives_that_it_lacks(
    project: Path, run: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def dying(*arguments: Any, **options: Any) -> Iterator[Row]:
        rows = compare(*arguments, **options)
        yield next(rows)
        yield next(rows)
        raise KeyboardInterrupt

    study, arguments = project / "runs/tiny-simulated", ["--study", "studies/tiny.toml", "--trials", "1", "--compare"]
    with monkeypatch.context() as patch:
        patch.setattr(hpo.results.alternatives, "compare", dying)
        assert hpo.run_study.main(arguments) == 130
    assert not (study / COMPARISON_FILE).exists(), "half a comparison is none"
    had = load_rows(study / UNFINISHED_FILE)
    assert [row.name for row in had] == [WAVENET, *list(families())[:2]]
    capsys.readouterr()
    of_longer_search = json.loads((study / UNFINISHED_FILE).read_text())
    of_longer_search["rows"][0]["seconds_of_tuning"] += 1
    unfinished = (study / UNFINISHED_FILE).read_text()
    (study / UNFINISHED_FILE).write_text(json.dumps(of_longer_search))
    assert "compared before" not in run("--trials", "1", "--compare"), "each had as long as the search took then"
    (study / COMPARISON_FILE).unlink()
    (study / UNFINISHED_FILE).write_text(unfinished)
    said = run("--trials", "1", "--compare")
    assert f"{', '.join(row.name for row in had)}: compared before" in said
    rows = load_rows(study / COMPARISON_FILE)
    assert [row.name for row in rows] == [WAVENET, *families()]
    assert rows_to_json(rows[:3]) == rows_to_json(had), "to the second of their tuning"
    assert not (study / UNFINISHED_FILE).exists()


@pytest.mark.usefixtures("quick", "project")
def test_the_estimate_has_the_time_of_a_comparison_where_one_is_asked_for(run: Command) -> None:
    assert f"for --compare ({len(families())} alternatives" in run("--dry-run", "--compare")
    assert "--compare" not in run("--dry-run")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fold", "2"], "--fold must be 1 to the number of --folds, but got 2 without --folds."),
        (["--folds", "3", "--fold", "4"], "--fold must be 1 to the number of --folds, but got 4 of 3."),
        (["--folds", "2"], "--folds must be at least 3 (training, validation, test), but got 2."),
        (["--folds", "2", "--fold", "3"], "--folds must be at least 3"),
        (["--once", "--trials", "5"], "--trials must come with a search, but came with --once."),
        (["--folds", "3", "--once"], "--folds must come with --fold where one study is meant"),
        (["--folds", "3", "--page", "0"], "--folds must come with --fold where one study is meant"),
        (["--folds", "50"], "must have at least 50 normal takes for 50 folds, but got 12"),
        (["--compare", "--page", "0"], "--compare must come with a search or --dry-run, but came with --page."),
        (["--compare", "--worker"], "--compare must come with a search or --dry-run, but came with --worker."),
        (["--fresh", "--rerun", "0"], "--fresh must come with a search or --once, but came with --rerun."),
    ],
)
def test_options_that_contradict_each_other_are_one_line(
    arguments: list[str], said: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hpo.run_study, "ROOT", project)
    assert hpo.run_study.main(["--study", str(project / "studies/tiny.toml"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error
    assert not (project / "runs/optuna.journal").exists(), "nothing half-made"


@pytest.mark.parametrize(
    ("winner", "is_found", "is_proven", "verdict"),
    [
        (None, False, False, "none"),
        ({"trial": 3}, False, True, "no detector (trial 3)"),
        ({"trial": 3}, True, False, "trial 3, unproven"),
        ({"trial": 3}, True, True, "trial 3"),
    ],
)
def test_a_fold_s_winner_is_said_with_what_it_proves(
    winner: dict[str, int] | None, is_found: bool, is_proven: bool, verdict: str
) -> None:
    evidence = {"is_proven": is_proven} if winner else None
    assert verdict_of({"winner": winner, "detector_found": is_found, "evidence": evidence}) == verdict


def test_a_fold_without_a_winner_counts_with_scores_of_zero() -> None:
    winner = {"validation": {"f1": 1.0, "auc": 0.5}, "test": {"f1": 0.5, "auc": 0.75}}
    spreads = spreads_of([{"winner": winner}, {"winner": None}])
    assert spreads["validation_f1"].values == (1.0, 0.0)
    assert spreads["test_f1"].mean == 0.25


def test_the_settings_in_which_folds_differ_are_named() -> None:
    def of(fold: int, **more: object) -> dict[str, object]:
        return {"settings": {"split": {"fold": fold}, "training": {"epochs": 2}, "trainings": "4"} | more}

    assert difference_of([of(1), of(2), of(3)]) == ""
    assert "(training.epochs)" in difference_of([of(1), of(2), of(3, training={"epochs": 3})])
    assert "(other recordings)" in difference_of([of(1, data_fingerprint="a"), of(2, data_fingerprint="b")])
    assert "(another version of this program)" in difference_of([of(1), of(2, trainings="5")])
    assert "(another version of this program)" in difference_of([of(1), {}]), "whose result has no settings"
    assert difference_of([{}, {}]) == ""


def test_rows_are_read_back_from_their_file() -> None:
    choice = Choice(
        score="residual", postprocessing=PostprocessingConfig(two_sided=True), auc=0.5, f1=0.25, event_f1=0.125
    )
    decisions = SplitDecisions(
        scores=np.array([0.1, -np.inf]),
        threshold=1.5,
        is_anomalous=np.array([False, True]),
        recording_ids=("a", "b"),
        machines=("car", "car"),
        events=event_counts([[], [(0.0, 1.0)]], [[], [(0.1, 1.0)]], clip_seconds=2.0),
    )
    row = Row(
        name="x", setup="4000 Hz", choice=choice, decisions=decisions, num_weights=3, seconds_to_train=1.0,
        seconds_to_score=2.0, num_tried=4, seconds_of_tuning=5.0,
    )  # fmt: skip
    (same,) = rows_from_json(json.loads(json.dumps(rows_to_json([row]))))
    assert same.choice == row.choice
    assert rows_to_json([same]) == rows_to_json([row])
    np.testing.assert_array_equal(same.decisions.scores, row.decisions.scores)
    assert same.decisions.events is not None
    assert same.decisions.events.matched.tolist() == [0, 1]
