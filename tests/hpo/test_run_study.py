"""The command as people run it: whole studies in real processes, read back through MLflow and Optuna."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import hpo.run_study
from hpo.audit import main as audit_main
from hpo.results.audit_study import audit_study
from hpo.tracking.run_log import EVENTS_FILE_NAME, metrics_by_step
from hpo.worker_command import worker_command
from tests.hpo.studies import SECONDS, STUDY, Command, assert_lands_whole, load, outline, start, tracked_runs, wait_for

ROOT = Path(__file__).resolve().parents[2]


def test_two_trials_end_to_end_and_a_second_call_adds_nothing(project: Path, run: Command) -> None:
    out = run("--trials", "2")
    assert "simulated" in out
    assert "trial 00" in out
    runs = tracked_runs(project)
    client = MlflowClient(f"sqlite:///{project}/runs/mlflow.db")
    assert_lands_whole(project, runs, client, 2)
    first = runs["trial 00"]
    assert {file.path for file in client.list_artifacts(first.info.run_id)} >= {
        "checkpoint.safetensors",
        "frame_scores.npz",
    }
    study_files = {file.path for file in client.list_artifacts(runs["study"].info.run_id)}
    assert {"report.html", "plots.html", "result.json", "winner", "post"} <= study_files
    result = json.loads((project / f"runs/{STUDY}/result.json").read_text())
    winner = load(project).trials[result["winner"]["trial"]]
    assert winner.value == pytest.approx(result["winner"]["validation"]["f1"])
    assert (project / f"runs/{STUDY}/winner/checkpoint.safetensors").exists()
    assert len(outline(project, f"{STUDY}-post")) == result["post"]["num_points"] == 26
    assert "Post-processing alone, 26 points" in out
    steps = ("Measuring ", "Judging ", "Searching post-processing", "Making pages", "Sending records", "Report: ")
    assert [out.index(step) for step in steps] == sorted(out.index(step) for step in steps), "each is said, in order"
    assert out.splitlines()[-2:] == [
        f"Detector: runs/{STUDY}/winner/checkpoint.safetensors",
        f"Use it:   python -m core.detect runs/{STUDY}/winner RECORDING.wav",
    ]
    before = outline(project), outline(project, f"{STUDY}-post")
    run("--trials", "2")
    assert (outline(project), outline(project, f"{STUDY}-post")) == before
    assert_lands_whole(project, tracked_runs(project), client, 2)


def test_a_killed_study_finds_what_an_uninterrupted_one_finds(
    project: Path, run: Command, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """SIGKILL in the middle of a trial, then SIGTERM in the middle of another, then the rest."""
    whole = tmp_path_factory.mktemp("whole") / "project"
    shutil.copytree(project, whole)
    uninterrupted = start(whole, "--trials", "4")
    for number, ending, code in ((1, signal.SIGKILL, -9), (2, signal.SIGTERM, 130)):
        process = start(project, "--trials", "4")
        log = project / f"runs/{STUDY}/trials/{number:04d}" / EVENTS_FILE_NAME
        wait_for(lambda log=log: bool(metrics_by_step(log)), f"epoch of trial {number}")  # type: ignore[misc]
        process.send_signal(ending)
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        if code == 130:
            assert "The same command resumes the study." in out
    run("--trials", "4")
    uninterrupted.communicate(timeout=SECONDS)
    assert outline(project) == outline(whole)
    assert any(trial.state is TrialState.PRUNED for trial in load(whole).trials), "pruning has to come out the same"
    client = MlflowClient(f"sqlite:///{project}/runs/mlflow.db")
    assert_lands_whole(project, tracked_runs(project), client, 4)


def test_finalists_are_trained_by_all_processes_and_survive_a_kill(project: Path, run: Command) -> None:
    file = project / "studies/tiny.toml"
    file.write_text(file.read_text().replace("new_seeds = 0", "count = 1\nnew_seeds = 3"))
    process = start(project, "--trials", "2")
    log = project / f"runs/{STUDY}/finalists/trials/0000" / EVENTS_FILE_NAME
    wait_for(lambda: bool(metrics_by_step(log)), "epoch of the first finalist")
    process.kill()
    process.communicate()
    worker = start(project, "--trials", "2", "--worker")
    out = run("--trials", "2")
    said, err = worker.communicate(timeout=SECONDS)
    assert worker.returncode == 0, said + err
    assert "seed 2" in out + said
    result = json.loads((project / f"runs/{STUDY}/result.json").read_text())
    (finalist,) = result["finalists"]
    assert [each["state"] for each in finalist["seeds"]] == ["complete"] * 4
    assert result["winner"]["seed"] == finalist["seed_of_file"]
    runs = tracked_runs(project)
    name = f"trial {finalist['trial']:02d}"
    assert sorted(runs) == sorted(["study", "trial 00", "trial 01", *(f"{name} seed {seed}" for seed in (2, 3, 4))])
    assert {each.info.status for each in runs.values()} == {"FINISHED"}
    before = outline(project, f"{STUDY}-finalists")
    again = run("--trials", "2")
    assert "seed 2  complete" not in again
    assert outline(project, f"{STUDY}-finalists") == before
    assert sorted(tracked_runs(project)) == sorted(runs)


def test_finalists_can_be_skipped_and_are_trained_by_a_later_call(project: Path, run: Command) -> None:
    file = project / "studies/tiny.toml"
    file.write_text(file.read_text().replace("new_seeds = 0", "count = 1\nnew_seeds = 1"))
    skipped = run("--trials", "2", "--no-finalists")
    assert "trials    2; the best of them wins" in skipped
    assert "seed 2" not in skipped
    result = json.loads((project / f"runs/{STUDY}/result.json").read_text())
    assert result["finalists"] == []
    trained = run("--trials", "2")
    said = "Finalists: the best 1 trial is trained again with new seeds (1 training, about"
    assert (
        trained.index("then 1 training of the finalists")
        < trained.index(said)
        < trained.index("trial 0", trained.index(said))
    )
    assert "seed 2  complete" in trained
    result = json.loads((project / f"runs/{STUDY}/result.json").read_text())
    assert [len(finalist["seeds"]) for finalist in result["finalists"]] == [2]


def test_set_fixes_what_is_searched_for_the_whole_study(
    project: Path, run: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ("--set", "window_ms=300", "--set", "training.epochs=2")
    run("--trials", "2", *changes)
    trials = load(project).get_trials(deepcopy=False)
    assert all("window_ms" not in trial.params for trial in trials)
    assert [max(trial.intermediate_values) for trial in trials] == [2, 2]
    for other in ((), ("--set", "window_ms=300"), ("--set", "window_ms=200", "--set", "training.epochs=2")):
        assert hpo.run_study.main(["--study", "studies/tiny.toml", "--trials", "2", *other]) == 2
        error = capsys.readouterr().err
        assert "--name" in error
        assert "--fresh" in error
    assert "trial 02" in run("--trials", "3", *changes), "the same changes resume it"


def test_a_worker_gets_the_changes_and_the_options_of_the_search() -> None:
    arguments = ["--set", "window_ms=300", "--set", "training.epochs=2", "--no-finalists", "--patience", "3"]
    options = hpo.run_study.parse(arguments, root=ROOT, program=hpo.run_study.SCRIPT)
    command = worker_command(options, threads=1)
    joined = hpo.run_study.parse(command[2:], root=ROOT, program=hpo.run_study.SCRIPT)
    assert joined.patience == 3
    assert joined.set == ["window_ms=300", "training.epochs=2"]
    assert joined.no_finalists
    assert joined.worker


def test_two_processes_share_a_study_and_never_pass_its_total(project: Path) -> None:
    processes = [start(project, "--trials", "5"), start(project, "--trials", "5", "--worker")]
    for process in processes:
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, out + err
    trials = load(project).get_trials(deepcopy=False)
    assert [trial.number for trial in trials] == list(range(5))
    assert all(trial.state.is_finished() for trial in trials)
    client = MlflowClient(f"sqlite:///{project}/runs/mlflow.db")
    assert_lands_whole(project, tracked_runs(project), client, 5)


def test_a_server_that_is_down_costs_delay_alone(project: Path, run: Command) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free_port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{free_port}"
    out = run("--trials", "2", "--tracking-uri", uri)
    assert "warning" in out
    assert (project / f"runs/{STUDY}/report.html").exists()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(free_port)),
            *("--backend-store-uri", f"sqlite:///{project}/server.db"),
            *("--artifacts-destination", str(project / "artifacts"), "--workers", "1"),
        ],
        cwd=project,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: _answers(free_port), "server")
        run("--trials", "2", "--tracking-uri", uri)
        assert_lands_whole(project, tracked_runs(project, uri), MlflowClient(uri), 2)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def test_fresh_archives_and_deletes_nothing(project: Path, run: Command) -> None:
    run("--trials", "1")
    before = outline(project)
    run("--trials", "1", "--fresh")
    assert outline(project) == before, "the same seed finds the same again"
    (archived,) = (project / "runs/archive").iterdir()
    assert (archived / "trials/0000/checkpoint.safetensors").exists()
    storage = JournalStorage(JournalFileBackend(str(project / "runs/optuna.journal")))
    old = optuna.load_study(study_name=archived.name, storage=storage)
    assert [t.params for t in old.trials] == [t.params for t in load(project).trials]


def test_one_configuration_alone_and_an_old_trial_again(project: Path, run: Command) -> None:
    run("--trials", "2")
    before = outline(project)
    out = run("--once", "--set", "residual_channels=8")
    assert "Best epoch" in out
    again = run("--rerun", "1")
    trial = load(project).trials[1]
    assert f"validation F1 {trial.user_attrs['facts']['val_f1']:.3f}" in again
    page = run("--page", "1")
    assert (project / f"runs/{STUDY}/trials/0001/page.html").exists()
    assert "page.html" in page
    assert outline(project) == before, "the search has not heard of any of it"


def test_a_second_ctrl_c_ends_a_command_that_is_ending_without_a_traceback(project: Path) -> None:
    at_exit = "import atexit, os, runpy, signal, sys; atexit.register(lambda: os.kill(os.getpid(), signal.{}))"
    run_it = "sys.argv = ['run_study.py', '--trials', '0']; runpy.run_path('hpo/run_study.py', run_name='__main__')"
    for name in ("SIGINT", "SIGTERM"):
        code = f"{at_exit.format(name)}; {run_it}"
        done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == -getattr(signal, name)
        assert done.stderr.count("\n") == 1, "the error, and no traceback"


def test_an_audit_reads_both_stores_and_finds_what_is_damaged(project: Path, run: Command) -> None:
    run("--trials", "3")
    uri = f"sqlite:///{project}/runs/mlflow.db"

    def found() -> set[tuple[str, str]]:
        audit = audit_study(STUDY, storage=None, tracking_uri=None, root=project)
        assert audit.num_trials == 3
        return {(finding.kind, finding.where) for finding in audit.findings}

    assert found() == set()
    runs, client = tracked_runs(project), MlflowClient(uri)
    first, second, third = (next(run for name, run in runs.items() if name.startswith(f"trial 0{n}")) for n in range(3))
    client.log_metric(first.info.run_id, "val_auc", 0.5, step=1, timestamp=1)
    assert found() == {("doubled", "trial 00")}
    client.set_terminated(second.info.run_id, "RUNNING")
    assert ("wrong", "trial 01") in found()
    client.delete_run(third.info.run_id)
    assert ("lost", "trial 02") in found()
    assert audit_main([STUDY], project) == 1
    before = sorted(project.rglob("*"))
    assert audit_main(["nothing"], project) == 2
    assert audit_main([STUDY, "--storage", "runs/typo.journal"], project) == 2
    assert audit_main([STUDY, "--storage", "sqlite:///no/such/optuna.db"], project) == 2
    assert audit_main([STUDY, "--tracking-uri", "sqlite:///no/such/mlflow.db"], project) == 2
    assert audit_main([STUDY], project / "studies") == 2
    assert sorted(project.rglob("*")) == before, "an audit makes nothing"


def test_records_that_a_study_had_not_sent_when_it_was_archived_are_sent_later(project: Path, run: Command) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{probe.getsockname()[1]}"
    run("--trials", "1", "--tracking-uri", away)
    run("--trials", "1", "--fresh")
    client = MlflowClient(f"sqlite:///{project}/runs/mlflow.db")
    names = {each.name: each.experiment_id for each in client.search_experiments()} | {"Default": ""}
    studies = {name: client.search_runs([key]) for name, key in names.items() if key}
    assert len(studies) == 2
    assert all({each.info.run_name for each in runs} == {"study", "trial 00"} for runs in studies.values())
    (archived,) = (project / "runs/archive").glob("*/trials/0000/events.jsonl.shipped")
    before = archived.stat().st_mtime_ns
    run("--trials", "1")
    assert archived.stat().st_mtime_ns == before, "what has arrived is not sent again"


def test_a_damaged_study_json_is_put_aside_and_made_again(
    project: Path, run: Command, caplog: pytest.LogCaptureFixture
) -> None:
    run("--trials", "1")
    file = project / f"runs/{STUDY}/study.json"
    whole = file.read_text()
    file.write_text(whole[:20])
    run("--trials", "1")
    assert file.read_text() == whole
    assert file.with_name("study.json.damaged").read_text() == whole[:20]
    assert "is made again" in caplog.text
