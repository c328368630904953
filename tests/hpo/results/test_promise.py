"""A promise about false alarms comes from healthy sound that chose nothing, and stands beside what happened on test."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest

from core.decision.checkpoint import DETECTOR_FILE, load_detector
from core.decision.false_alarms import ThresholdConfig, promised_threshold
from core.decision.healthy_scores import HealthyScores
from core.decision.metrics import auc, expected_f1, f1_score
from core.decision.statistic import fit_scalar
from core.decision.take_counts import TakeCounts
from core.detect import main as detect
from core.model.scoring import FRAME_SCORES, FrameScores
from hpo.results.healthy_takes import healthy_scores, seconds_a_clip, takes_that_chose
from hpo.results.judged_trial import JudgedTrial
from hpo.results.promise import SetThreshold, outcome_sentence, promise_of
from hpo.results.result import study_result, write_result
from hpo.results.shown_training import EVENT_FIGURES, ShownTraining
from hpo.results.winner import Finalist, SeedTraining, choose_winner, highest
from hpo.search.study import OpenStudy
from hpo.search.trial_record import TrialRecord, trial_records
from hpo.summary import summary
from tests.hpo.pages.toy_study import page_of, toy_study
from tests.hpo.results.test_evidence import figures_of, result_with
from tests.hpo.results.test_post_study import add_trial, judged_trial, open_again, opened
from tests.hpo.studies import STUDY, Command, tracked_runs

__all__ = ["opened"]  # a fixture


def test_a_calibration_take_has_no_part_in_its_own_score() -> None:
    trial = judged_trial(1)
    clips, statistic = trial.scored["calibration"], trial.detector.statistic
    found = healthy_scores(trial, chose=set(trial.scored["validation"].recording_ids), are_calibration_takes_whole=True)
    scores = clips.scores.surprise
    expected = []
    for row in range(len(scores)):
        others = [other for other in range(len(scores)) if other != row]
        fitted = fit_scalar(
            statistic.config, scores[others], [clips.machines[other] for other in others], frame_ms=statistic.frame_ms
        )
        expected.append(fitted.judge(scores[[row]], [clips.machines[row]]).clip_scores[0])
    assert [take[0] for take in found.takes] == pytest.approx(expected, rel=1e-5)


def test_many_calibration_takes_are_judged_part_by_part_and_none_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.results.healthy_takes.MAX_PARTS", 2)
    trial = judged_trial(1)
    clips, statistic = trial.scored["calibration"], trial.detector.statistic
    found = healthy_scores(trial, chose=set(trial.scored["validation"].recording_ids), are_calibration_takes_whole=True)
    assert found.num_takes == len(clips.machines)
    scores, own = clips.scores.surprise, [row for row, each in enumerate(clips.machines) if each == clips.machines[0]]
    fitted = fit_scalar(
        statistic.config, scores[own[1::2]], [clips.machines[0]] * len(own[1::2]), frame_ms=statistic.frame_ms
    )
    expected = fitted.judge(scores[own[:1]], [clips.machines[0]]).clip_scores[0]
    assert found.takes[0][0] == pytest.approx(expected, rel=1e-5)


def test_parts_of_training_takes_do_not_promise_anything() -> None:
    trial = judged_trial(1)
    validation = trial.scored["validation"]
    found = healthy_scores(trial, chose=set(), are_calibration_takes_whole=False)
    assert found.num_takes == np.sum(~validation.is_anomalous)
    some = {validation.recording_ids[row] for row in np.flatnonzero(~validation.is_anomalous)[:3]}
    assert healthy_scores(trial, chose=some, are_calibration_takes_whole=False).num_takes == found.num_takes - 3


def test_parts_that_stand_in_for_takes_count_as_the_take_that_they_are_of() -> None:
    trial = judged_trial(1)
    validation = trial.scored["validation"]
    ids = tuple(f"hour part {row + 1} of {len(validation.machines)}" for row in range(len(validation.machines)))
    trial = replace(
        trial,
        scored={**trial.scored, "validation": replace(validation, recording_ids=ids)},
        detector=replace(trial.detector, stand_ins=("parts",)),
    )
    found = healthy_scores(trial, chose=set(), are_calibration_takes_whole=False)
    assert (found.num_takes, found.num_clips) == (1, np.sum(~validation.is_anomalous))
    promised = promised_threshold(found, ThresholdConfig(false_alarms=0.5))
    assert promised is None or not promised.is_promise or found.num_takes >= 1 / 0.5 - 1


def test_the_only_calibration_take_of_a_machine_is_left_out() -> None:
    trial = judged_trial(1)
    calibration = trial.scored["calibration"]
    of_b = [row for row, machine in enumerate(calibration.machines) if machine == "b"]
    rows = [row for row in range(len(calibration.machines)) if row not in of_b[1:]]
    fewer = replace(
        calibration,
        scores=FrameScores(**{kind: getattr(calibration.scores, kind)[rows] for kind in FRAME_SCORES}),
        recording_ids=tuple(calibration.recording_ids[row] for row in rows),
        machines=tuple(calibration.machines[row] for row in rows),
        conditions=tuple(calibration.conditions[row] for row in rows),
        is_anomalous=calibration.is_anomalous[rows],
    )
    trial = replace(trial, scored={**trial.scored, "calibration": fewer})
    chose = set(trial.scored["validation"].recording_ids)
    found = healthy_scores(trial, chose=chose, are_calibration_takes_whole=True)
    assert found.num_takes == len(rows) - 1


def test_an_hour_of_clips_is_what_detect_hears_in_an_hour() -> None:
    trial = judged_trial(1)
    rate_hz = trial.detector.front_end.config.sample_rate_hz
    frame_samples = trial.detector.scoring.frame_samples(rate_hz)
    num_frames = trial.judged["validation"].thresholds.shape[1]
    assert seconds_a_clip(trial) == num_frames * frame_samples / rate_hz


@pytest.fixture
def searched(opened: OpenStudy) -> OpenStudy:
    """A study of five trials with files, whose recorded figures are those of its scores."""
    search = open_again(opened.storage, opened.directory.parents[1], "other")
    for number in range(1, 6):
        add_trial(search, number - 1, 0.0)
    return search


def files_of(search: OpenStudy, monkeypatch: pytest.MonkeyPatch, *, seed: int) -> dict[Path, JudgedTrial]:
    """Trials whose files are in memory; their validation figures are recorded as the search records them."""
    judged = {search.trial_directory(number): judged_trial(seed + number) for number in range(5)}
    found = [figures(trial, search.spec.objective) for trial in judged.values()]
    monkeypatch.setattr("hpo.results.healthy_takes.judge_trial", judged.__getitem__)
    records = [
        replace(record, objective=value, facts={**record.facts, "val_auc": area})
        for record, (value, area) in zip(trial_records(search.study), found, strict=True)
    ]
    monkeypatch.setattr("hpo.results.healthy_takes.trial_records", lambda _: records)
    return judged


def figures(trial: JudgedTrial, objective: str, without: str = "") -> tuple[float, float]:
    clips, scores = trial.scored["validation"], trial.judged["validation"].clip_scores
    rows = np.array([take != without for take in clips.recording_ids])
    is_anomalous = clips.is_anomalous[rows]
    plain = f1_score(scores[rows] >= trial.threshold, is_anomalous)
    value = plain if objective == "f1" else expected_f1(scores[rows], is_anomalous, trial.threshold)
    return value, auc(scores[rows], is_anomalous)


@pytest.mark.parametrize(("objective", "seed"), [("f1", 0), ("expected_f1", 45)])
def test_takes_without_which_another_trial_had_won_chose_the_winner(
    objective: Literal["f1", "expected_f1"], seed: int, searched: OpenStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = replace(searched, spec=replace(searched.spec, objective=objective))
    judged = files_of(searched, monkeypatch, seed=seed)
    trials = list(judged.values())
    clips = trials[0].scored["validation"]
    winner = max(range(5), key=lambda number: figures(trials[number], objective))
    healthy = [take for take, bad in zip(clips.recording_ids, clips.is_anomalous, strict=True) if not bad]
    expected = {
        take
        for take in healthy
        if max(range(5), key=lambda number: figures(trials[number], objective, take)) != winner
    }  # fmt: skip
    seed = SeedTraining(
        seed=1, record=trial_records(searched.study)[winner], directory=searched.trial_directory(winner)
    )
    chosen = Finalist(number=winner, epochs=1, seeds=(seed,))
    assert takes_that_chose(searched, (), chosen) == expected
    assert 0 < len(expected) < len(healthy), "else the test shows nothing"


@pytest.mark.parametrize("seed", [0, 34])
def test_takes_without_which_one_standard_error_had_decided_otherwise_chose_the_winner(
    seed: int, searched: OpenStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = list(files_of(searched, monkeypatch, seed=seed).values())

    def without(take: str) -> list[TrialRecord]:
        return [record_without(take, number, trial) for number, trial in enumerate(trials)]

    whole = without("")
    monkeypatch.setattr("hpo.results.healthy_takes.trial_records", lambda _: whole)
    winner = choose_winner(whole)
    assert winner is not None
    clips = trials[0].scored["validation"]
    healthy = [take for take, bad in zip(clips.recording_ids, clips.is_anomalous, strict=True) if not bad]
    expected = {take for take in healthy if winning_number(without(take)) != winner.number}
    training = SeedTraining(seed=1, record=winner, directory=searched.trial_directory(winner.number))
    chosen = Finalist(number=winner.number, epochs=1, seeds=(training,))
    assert takes_that_chose(searched, (), chosen) == expected
    by_value = {take for take in healthy if highest(without(take)).number != winner.number}  # type: ignore[union-attr]
    assert expected not in (set(), by_value), "else the test shows nothing"


def record_without(take: str, number: int, trial: JudgedTrial) -> TrialRecord:
    clips, scores = trial.scored["validation"], trial.judged["validation"].clip_scores
    rows = np.array([each != take for each in clips.recording_ids])
    takes = [each for each in clips.recording_ids if each != take]
    value, area = figures(trial, "expected_f1", take)
    counts = TakeCounts.of(
        scores[rows], clips.is_anomalous[rows], takes, threshold=trial.threshold, objective="expected_f1"
    )
    return TrialRecord(
        number=number,
        state="complete",
        objective=value,
        parameters={},
        epochs=(),
        facts={"val_auc": area},
        failure=None,
        seconds=1.0,
        take_counts=counts,
    )


def winning_number(records: list[TrialRecord]) -> int | None:
    winner = choose_winner(records)
    return winner.number if winner else None


def set_threshold(num_takes: int, config: ThresholdConfig | None) -> SetThreshold:
    takes = {take: [float(score)] for take, score in enumerate(np.random.default_rng(0).standard_normal(num_takes))}
    healthy = HealthyScores.of(takes, seconds_a_clip=2.0)
    promised = promised_threshold(healthy, config) if config else None
    return SetThreshold(healthy=healthy, asked=config, promised=promised, own_threshold_sigmas=3.0)


PROMISES: list[tuple[int, bool, str]] = [
    (30, True, "A promise: at most 5 % of healthy clips"),
    (10, False, "An estimate and not a promise: 5 % of healthy clips"),
    (2, False, "No promise and no estimate: 2 healthy clips"),
]


@pytest.mark.parametrize(("num_takes", "is_promise", "words"), PROMISES)
def test_what_was_promised_stands_beside_what_happened_on_test(
    num_takes: int, is_promise: bool, words: str, tmp_path: Path
) -> None:
    test = figures_of(8, 8)
    promise = promise_of(set_threshold(num_takes, ThresholdConfig(false_alarms=0.05)), test)
    assert promise is not None
    assert promise["is_promise"] == is_promise
    outcome = "On test 0 % of the healthy clips raised a false alarm (95 % interval 0 to 36.9 % over 8 recordings)"
    lines = "\n".join(summary(result_with(test) | {"promise": promise}, tmp_path))
    for text in (lines, page_of(toy_study(), promise=promise)):
        assert words in text
        assert outcome in text
    assert ("sigmas, in place of 3.00" in lines) == (num_takes > 2)


@pytest.mark.parametrize(("lowest", "is_said"), [(0.04, False), (0.06, True), (float("nan"), False)])
def test_more_false_alarms_than_chance_explains_are_remarked_on(lowest: float, is_said: bool) -> None:
    test = figures_of(8, 8) | {"false_alarms": 0.3, "false_alarms_interval": (lowest, 0.6)}
    for asked in (ThresholdConfig(false_alarms=0.05), ThresholdConfig(false_alarms_per_hour=90.0)):
        promise = promise_of(set_threshold(30, asked), test)
        assert promise is not None
        assert ("by more than chance explains" in promise["test"]) == is_said


def test_without_a_promise_the_study_s_own_threshold_stays() -> None:
    threshold = set_threshold(30, None)
    assert promise_of(threshold, figures_of(3, 3)) is None
    assert threshold.threshold_sigmas == 3.0
    assert set_threshold(2, ThresholdConfig(false_alarms=0.05)).threshold_sigmas == 3.0


def test_a_share_of_clips_is_also_said_an_hour() -> None:
    test = figures_of(4, 8) | {"false_alarms": 0.25, "false_alarms_interval": (0.1, 0.5)}
    assert outcome_sentence(test, 36.0).endswith("which is 25 an hour (10 to 50).")
    assert outcome_sentence(test, 2.0).endswith("which is 450 an hour (180 to 900).")
    assert outcome_sentence(test, 0.5).endswith("which is 1,800 an hour (720 to 3,600).")
    assert outcome_sentence({}, 36.0) == "The test has no healthy clips."


def test_the_winner_s_file_has_the_promised_threshold_and_the_scores_for_another(
    opened: OpenStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(opened.spec, threshold=ThresholdConfig(false_alarms=0.05))
    search = replace(opened, spec=spec)
    result = with_files(study_result, search, monkeypatch)
    write_result(search, result)
    detector = load_detector(search.directory / "winner" / DETECTOR_FILE)
    assert detector.healthy is not None
    promised = promised_threshold(detector.healthy, ThresholdConfig(false_alarms=0.05))
    assert promised is not None
    assert detector.statistic.config.threshold_sigmas == result["winner"]["threshold_sigmas"]
    assert detector.statistic.config.threshold_sigmas == promised.threshold_sigmas
    assert result["promise"]["sentence"] == promised.sentence


def test_the_command_sets_the_threshold_that_is_promised_and_detect_changes_it(
    project: Path, run: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    said = run("--trials", "1", "--set", "threshold.false_alarms=0.5")
    study = project / "runs" / STUDY
    result = json.loads((study / "result.json").read_text())
    assert result["promise"]["is_promise"]
    threshold = f"{result['promise']['threshold_sigmas']:.2f} sigmas, in place of 3.00"
    assert f"threshold   {threshold}. A promise: at most 50 % of healthy" in said
    assert result["promise"]["test"] in said
    assert result["promise"]["test"] in (study / "report.html").read_text()
    detector = load_detector(study / "winner" / DETECTOR_FILE)
    assert detector.statistic.config.threshold_sigmas == result["promise"]["threshold_sigmas"] != 3
    tags = tracked_runs(project)["study"].data.tags
    assert float(tags["threshold_sigmas"]) == pytest.approx(detector.statistic.config.threshold_sigmas, rel=1e-4)
    assert tags["promise"] == result["promise"]["sentence"]
    detect([str(study), "nowhere.wav", "--false-alarms-per-hour", "1"])
    assert "An estimate and not a promise: 1 false alarms per hour" in capsys.readouterr().out


def with_files(make: Callable[..., dict[str, Any]], search: OpenStudy, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The toy's trials lack facts that real ones record, and trial 0 lacks its files."""
    facts = {"best_epoch": 1, "num_weights": 1, "num_layers": 1, "receptive_field_samples": 4, "test_f1": 0.5}
    records = [
        replace(
            record,
            state="complete" if record.number else "failed",
            objective=record.objective if record.number else None,
            facts=facts | {"val_auc": 0.5, "test_auc": 0.5, "val_f1": record.objective},
        )
        for record in trial_records(search.study)
    ]
    for module in ("result", "healthy_takes"):
        monkeypatch.setattr(f"hpo.results.{module}.trial_records", lambda _: records)
    assert choose_winner(records) is not None
    return make(search, about={})


def test_figures_of_events_are_those_of_the_best_epoch_and_not_said_of_another_threshold(tmp_path: Path) -> None:
    facts = {"best_epoch": 2, "num_weights": 1, "num_layers": 1, "receptive_field_samples": 1}
    epochs = [{"epoch": 1, "val_event_f1": 0.1}, {"epoch": 2, "val_event_f1": 0.2, "test_segment_f1": 0.3}]
    record = TrialRecord(
        number=1, state="complete", objective=1.0, parameters={}, epochs=epochs, facts=facts, failure=None, seconds=1.0
    )
    healthy = HealthyScores.of({take: [0.1 * take] for take in range(20)}, seconds_a_clip=1.0)
    asked = ThresholdConfig(false_alarms=0.1)
    own = SetThreshold(healthy=healthy, asked=None, promised=None, own_threshold_sigmas=2.5)
    other = replace(own, asked=asked, promised=promised_threshold(healthy, asked))
    assert other.threshold_sigmas != 2.5
    found = []
    for threshold in (own, other):
        shown = ShownTraining.of(1, SeedTraining(seed=1, record=record, directory=tmp_path), judged_trial(1), threshold)
        figures = shown.figures(SimpleNamespace(directory=tmp_path))  # type: ignore[arg-type]
        found.append(
            {split: {key: figures[split].get(key) for key in EVENT_FIGURES} for split in ("validation", "test")}
        )
    assert found[0] == {
        "validation": {"event_f1": 0.2, "segment_f1": None},
        "test": {"event_f1": None, "segment_f1": 0.3},
    }
    assert all(value is None for figures in found[1].values() for value in figures.values())
