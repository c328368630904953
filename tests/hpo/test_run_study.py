"""The command as people run it: whole studies in real processes, read back through MLflow and Optuna."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from hpo.search.trial_record import FACTS
from hpo.tracking.run_log import EVENTS_FILE_NAME, metrics_by_step
from tests.hpo.studies import SECONDS, STUDY, Command, assert_lands_whole, load, outline, start, tracked_runs, wait_for

ROOT = Path(__file__).resolve().parents[2]


def test_two_trials_end_to_end_and_a_second_call_adds_nothing(project: Path, run: Command) -> None:
    out = run("--trials", "2")
    assert "simulated" in out
    assert "trial 00" in out
    runs = tracked_runs(project)
    client = MlflowClient(f"sqlite:///{project}/runs/mlflow.db")
    assert_lands_whole(project, runs, client, 2)
    assert runs["study"].data.params.items() >= {"lag": "3", "precision": "float32"}.items()
    first = runs["trial 00"]
    assert {file.path for file in client.list_artifacts(first.info.run_id)} >= {
        "checkpoint.safetensors",
        "frame_scores.npz",
    }
    study_files = {file.path for file in client.list_artifacts(runs["study"].info.run_id)}
    assert {"report.html", "plots.html", "result.json", "winner", "post"} <= study_files
    result = json.loads((project / f"runs/{STUDY}/result.json").read_text())
    winner = load(project).trials[result["winner"]["trial"]]
    assert winner.user_attrs[FACTS]["val_f1"] == pytest.approx(result["winner"]["validation"]["f1"])
    assert f"  choice      {result['choice']['sentence']}" in out
    assert (project / f"runs/{STUDY}/winner/checkpoint.safetensors").exists()
    assert len(outline(project, f"{STUDY}-post")) == result["post"]["num_points"] == 24
    assert "Post-processing alone, 24 points" in out
    assert result["whiteness"]["unlearned_bits"] > 0
    assert (result["whiteness"]["warning"] is not None) == ("has not learned this machine" in out)
    page = (project / f"runs/{STUDY}/trials/{winner.number:04d}/page.html").read_text()
    assert 'data-figure="figure-whiteness"' in page
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


@pytest.mark.slow  # kills are tested shortly in tests/faults/test_in_short.py
def test_a_killed_study_finds_what_an_uninterrupted_one_finds(
    project: Path, run: Command, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """SIGKILL in the middle of a trial, then SIGTERM in the middle of another, then the rest."""
    file, whole = project / "studies/tiny.toml", tmp_path_factory.mktemp("whole") / "project"
    file.write_text(file.read_text().replace("lag = 3", "lag = 1"))  # so that the pruner knows enough trials
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


@pytest.mark.slow
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
    assert "trials    2; the best wins, if it beats trial 0 by more than one standard error" in skipped
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
    (seed,) = re.findall(r"seed 2  complete .* val expected F1 (\d\.\d{3})\n", trained)
    result = json.loads((project / f"runs/{STUDY}/result.json").read_text())
    (finalist,) = result["finalists"]
    own, new = (each["objective"] for each in finalist["seeds"])
    assert seed == f"{new:.3f}"
    assert finalist["seed_of_file"] == (2 if new > own else 1)
    assert f"the file of seed {finalist['seed_of_file']}, the best of them by expected F1 on validation:" in trained


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


@pytest.mark.slow
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


def test_a_spectrum_beyond_the_recordings_is_left_out_and_that_is_said(run: Command) -> None:
    out = run("--set", "front_end.spectrum_rate_hz=16_000", "--dry-run")
    assert "front_end.spectrum_rate_hz 16000 is left out, because a recording has a lower rate." in out
    assert "channels at 4000 Hz" in out
