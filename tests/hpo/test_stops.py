"""What stops a study between two batches: signals to real processes, and deadlines. The same command resumes it."""

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

import core.model.scored_training
import core.model.training
import hpo.run_study
import hpo.search.stopping
import hpo.search_run
from core.errors import UserError
from core.model.partial_epoch import PARTIAL_FILE
from core.model.tensor_file import read_tensors
from hpo.results.winner import choose_winner
from hpo.search.trial_record import trial_records
from hpo.tracking.run_log import EVENTS_FILE_NAME, Started, read_events
from hpo.worker_command import worker_command
from tests.hpo.studies import SECONDS, STUDY, Command, assert_lands_whole, load, outline, start, tracked_runs, wait_for

LONG_EPOCH = ("--set", "training.epochs=1", "--set", "training.seconds_per_epoch=100")
ENDLESS_EPOCH = ("--set", "training.seconds_per_epoch=100000")
STEPS_OF_LONG_EPOCH = 391
CALLS_OF_TRIAL = 13
"""How often the clock is read for a trial: before it is claimed, and after each of its twelve batches."""


def partial_file(project: Path) -> Path:
    (file,) = (project / f"runs/{STUDY}/trainings").glob(f"*/{PARTIAL_FILE}")
    return file


def num_steps(project: Path) -> int:
    return len(read_tensors(partial_file(project))[0]["losses"])


def num_starts(project: Path) -> int:
    log = project / f"runs/{STUDY}/trials/0000" / EVENTS_FILE_NAME
    return sum(isinstance(event, Started) for event in read_events(log))


@pytest.fixture
def deadline(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """The deadline passes when the clock has been read so often."""

    def set_deadline(num_calls: int) -> None:
        left = iter(range(num_calls))
        clock = SimpleNamespace(time=lambda: 0.0 if next(left, None) is not None else float("inf"))
        clock.monotonic = time.monotonic
        monkeypatch.setattr(hpo.search.stopping, "time", clock)

    return set_deadline


def add_finalists(project: Path) -> None:
    file = project / "studies/tiny.toml"
    file.write_text(file.read_text().replace("new_seeds = 0", "count = 1\nnew_seeds = 2"))


@pytest.mark.slow
def test_signals_end_a_long_epoch_at_the_next_batch_and_it_resumes_there(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = tmp_path_factory.mktemp("whole") / "project"
    shutil.copytree(project, whole)
    uninterrupted = start(whole, "--trials", "1", *LONG_EPOCH)
    steps = [0]
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start(project, "--trials", "1", *LONG_EPOCH)
        wait_for(lambda: num_starts(project) == len(steps), "start")
        time.sleep(0.5)
        process.send_signal(number)
        out, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, err) == (130, ""), out
        assert "Stopping after this training step; press Ctrl-C again to end at once." in out
        assert "Interrupted after 0 of 1 trials. The same command resumes the study." in out
        steps.append(num_steps(project))
    assert 0 < steps[1] < steps[2] < STEPS_OF_LONG_EPOCH, "both signals came in the first epoch"
    assert [trial.state for trial in load(project).trials] == [TrialState.WAITING]
    process = start(project, "--trials", "1", *LONG_EPOCH)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, out + err
    uninterrupted.communicate(timeout=SECONDS)
    assert outline(project) == outline(whole)
    checkpoint = f"runs/{STUDY}/trials/0000/checkpoint.safetensors"
    assert (project / checkpoint).read_bytes() == (whole / checkpoint).read_bytes()
    client = MlflowClient(f"sqlite:///{project}/runs/mlflow.db")
    assert_lands_whole(project, tracked_runs(project), client, 1)


def test_after_an_interruption_the_link_to_the_curves_is_not_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hpo.search_run, "_train", interrupt)  # while MLflow is being opened
    assert hpo.run_study.main(["--study", str(project / "studies/tiny.toml"), "--threads", "1"], project) == 130
    out = capsys.readouterr().out
    assert "curves" not in out[out.index("Interrupted after 0 of") :]


@pytest.mark.slow
def test_all_processes_end_at_the_deadline_and_give_their_trials_back(project: Path) -> None:
    process = start(project, "--trials", "4", "--workers", "2", "--timeout", "0.5", *ENDLESS_EPOCH)
    started = time.monotonic()
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, out + err
    assert time.monotonic() - started < 75
    assert "warning" not in out, "no worker was killed"
    last = "Stopped by --timeout of 0.5 min: 0 of 4 trials have ended. The same command resumes the study."
    assert out.splitlines()[-1] == last
    assert not (project / f"runs/{STUDY}/report.html").exists()
    trials = load(project).trials
    assert len(trials) == 2, "both processes had one"
    assert {trial.state for trial in trials} == {TrialState.WAITING}
    assert list((project / f"runs/{STUDY}/trainings").glob(f"*/{PARTIAL_FILE}"))


def test_at_the_deadline_what_has_ended_is_reported_and_the_rest_resumes_to_the_same_bits(
    project: Path, run: Command, deadline: Callable[[int], None]
) -> None:
    run("--trials", "3", "--name", "whole")
    deadline(1 + CALLS_OF_TRIAL + 6)
    out = run("--trials", "3", "--timeout", "1000")
    assert "Stopped by --timeout of 1000 min: 1 of 3 trials have ended. The same command resumes the study." in out
    result = json.loads((project / f"runs/{STUDY}/result.json").read_text())
    assert result["trials"] == {"complete": 1, "pruned": 0, "failed": 0}
    assert "trial 0" in (project / f"runs/{STUDY}/report.html").read_text().lower()
    assert [trial.state for trial in load(project).trials] == [TrialState.COMPLETE, TrialState.WAITING]
    assert num_steps(project) == 2, "of the second epoch"
    assert tracked_runs(project)["study"].info.status == "KILLED"
    deadline(10**9)
    run("--trials", "3", "--timeout", "1000")
    assert outline(project) == outline(project, "whole")
    assert tracked_runs(project)["study"].info.status == "FINISHED"


@pytest.mark.parametrize("num_calls", [CALLS_OF_TRIAL * 2, CALLS_OF_TRIAL * 3 + 10])
def test_the_winner_is_that_of_the_search_where_the_deadline_comes_before_the_last_finalist(
    project: Path, run: Command, deadline: Callable[[int], None], num_calls: int
) -> None:
    add_finalists(project)
    deadline(1 + num_calls)
    out = run("--trials", "2", "--timeout", "1000")
    num_ended = 0 if num_calls == CALLS_OF_TRIAL * 2 else 1
    assert ("Finalists:" in out) == bool(num_ended), "they are not begun after the deadline"
    assert f"2 of 2 trials and {num_ended} of 2 trainings of finalists have ended. The same command" in out
    result = json.loads((project / f"runs/{STUDY}/result.json").read_text())
    assert result["finalists"] == []
    assert result["winner"]["seed"] == 1
    deadline(10**9)
    run("--trials", "2")
    result = json.loads((project / f"runs/{STUDY}/result.json").read_text())
    assert [seed["state"] for seed in result["finalists"][0]["seeds"]] == ["complete"] * 3


def test_the_deadline_is_that_of_all_folds_together(
    project: Path, run: Command, deadline: Callable[[int], None]
) -> None:
    study = project / "studies/tiny.toml"
    study.write_text(study.read_text().replace("[clips]", "[split]\ncalibration_fraction = 0.5\n\n[clips]"))
    deadline(1 + CALLS_OF_TRIAL + 3 + 5)
    out = run("--folds", "3", "--trials", "1", "--timeout", "1000")
    assert "The summary must wait: 1 of 3 folds have a result." in out
    assert not (project / f"runs/{STUDY}.fold3").exists()


def test_an_unexpected_error_ends_one_training_and_the_winner_is_chosen_among_what_is_left(
    project: Path, run: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_finalists(project)
    options = ("--study", "studies/tiny.toml", "--threads", "1", "--trials", "2")
    run("--trials", "2", "--no-finalists")
    with monkeypatch.context() as patch:
        patch.setattr(core.model.training, "_step", _broken)
        with pytest.raises(ZeroDivisionError):
            hpo.run_study.main(list(options))
        capsys.readouterr()
        assert hpo.run_study.main([*options, "--keep-going"]) == 0
        said = capsys.readouterr()
    assert said.err.count("ZeroDivisionError: a bug in the step") == 2
    assert said.out.count("failed    ZeroDivisionError: a bug in the step") == 0
    assert said.out.count("fail      ZeroDivisionError: a bug in the step") == 2
    assert "warning: All trainings of the finalists failed, so the trials of the search decide." in said.out
    result = json.loads((project / f"runs/{STUDY}/result.json").read_text())
    best = choose_winner(trial_records(load(project)))
    assert best is not None
    assert (result["winner"]["trial"], result["winner"]["seed"]) == (best.number, 1)
    failed = [each for name, each in tracked_runs(project).items() if "seed" in name]
    assert [each.data.tags["failure"] for each in failed] == ["ZeroDivisionError: a bug in the step"] * 2
    assert {each.info.status for each in failed} == {"FAILED"}


def test_five_unexpected_errors_in_a_row_end_the_search(
    project: Path, run: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del run
    monkeypatch.setattr(core.model.scored_training, "train_epochs", _broken)  # not the estimate's
    options = ["--study", "studies/tiny.toml", "--threads", "1", "--trials", "8", "--keep-going"]
    assert hpo.run_study.main(options) == 2
    assert "5 in a row failed, one because ZeroDivisionError: a bug in the step" in capsys.readouterr().err
    assert [trial.state for trial in load(project).trials] == [TrialState.FAIL] * 5


def _broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("a bug in the step")


def test_a_worker_has_the_deadline_of_its_study_and_its_other_limits(project: Path) -> None:
    given = ["--timeout", "10", "--trial-timeout", "2.5", "--keep-going"]
    options = hpo.run_study.parse(given, root=project, program=hpo.run_study.SCRIPT)
    assert options.deadline == pytest.approx(time.time() + 600, abs=5)
    _, _, *arguments = worker_command(options, threads=1)
    joined = hpo.run_study.parse(arguments, root=project, program=hpo.run_study.SCRIPT)
    assert (joined.deadline, joined.trial_timeout, joined.keep_going) == (options.deadline, 2.5, True)
    assert joined.timeout is None


@pytest.mark.parametrize("instead", [["--once"], ["--dry-run"], ["--rerun", "0"], ["--page", "0"]])
@pytest.mark.parametrize("limit", [["--timeout", "1"], ["--trial-timeout", "1"], ["--keep-going"]])
def test_limits_of_a_search_come_with_a_search(project: Path, instead: list[str], limit: list[str]) -> None:
    with pytest.raises(UserError, match=f"^{limit[0]} must come with a search, but came with {instead[0]}."):
        hpo.run_study.parse([*instead, *limit], root=project, program=hpo.run_study.SCRIPT)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf"])
@pytest.mark.parametrize("name", ["--timeout", "--trial-timeout"])
def test_a_limit_is_a_number_above_zero(project: Path, name: str, value: str) -> None:
    with pytest.raises(UserError, match=r"must be a number above 0"):
        hpo.run_study.parse([f"{name}={value}"], root=project, program=hpo.run_study.SCRIPT)
