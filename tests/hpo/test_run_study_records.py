"""The command's options that make one study of another, and what a study leaves on record: read back and audited."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import hpo.run_study
from core.decision.checkpoint import DETECTOR_FILE, load_detector
from hpo.audit import main as audit_main
from hpo.results.audit_study import audit_study
from hpo.worker_command import worker_command
from tests.folder_files import noise, write
from tests.hpo.studies import STUDY, Command, load, outline, tracked_runs

ROOT = Path(__file__).resolve().parents[2]


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


def test_one_configuration_has_the_threshold_that_is_set_also_where_a_promise_leaves_it_unsearched(
    project: Path, run: Command
) -> None:
    run("--once", "--set", "threshold.false_alarms=0.5", "--set", "threshold_sigmas=4.25")
    (file,) = (project / "runs/tiny-simulated/single").glob(f"*/{DETECTOR_FILE}")
    assert load_detector(file).statistic.config.threshold_sigmas == 4.25


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


def test_a_trial_again_and_its_page_have_the_settings_of_the_study(
    project: Path, run: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ("--set", "window_ms=300", "--set", "training.epochs=2", "--set", "data.severity=0.5")
    run("--trials", "1", "--name", "own", *changes)
    facts = load(project, "own").trials[0].user_attrs["facts"]
    other = project / "studies/other.toml"
    other.write_text((project / "studies/tiny.toml").read_text().replace("seed = 7", "seed = 8"))
    for repeated in ((), changes, ("--study", str(other))):
        again = run("--rerun", "0", "--name", "own", *repeated)
        assert f"validation F1 {facts['val_f1']:.3f}, AUC {facts['val_auc']:.3f}" in again
    assert "page.html" in run("--page", "0", "--name", "own")
    for assignment, was, now in (("training.epochs=3", 2, 3), ("window_ms=200", 300, 200), ("seed=8", 7, 8)):
        arguments = ["--study", "studies/tiny.toml", "--page", "0", "--name", "own", "--set", assignment]
        assert hpo.run_study.main(arguments) == 2
        error = capsys.readouterr().err
        assert "because --page takes the study's own settings" in error
        assert re.search(rf"was {was}(\.0)? and is {now}(\.0)?\. Leave it out\.\n$", error)
    other_data = ["--study", "studies/tiny.toml", "--rerun", "0", "--name", "own", "--data", str(recordings(project))]
    assert hpo.run_study.main(other_data) == 2
    assert "--rerun must read the recordings that study 'own' was made with" in capsys.readouterr().err


def recordings(folder: Path) -> Path:
    for index in range(8):
        label = "normal" if index < 6 else "anomalous"
        write(folder / f"takes/{label}/{index}.wav", noise(2, 10_000, seed=index), 8000)
    return folder / "takes"


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
    before_deletion = found()
    client.delete_run(third.info.run_id)
    assert found() == before_deletion, "a run that a person deletes is final, and no fault"
    assert audit_study(STUDY, storage=None, tracking_uri=None, root=project).deleted == ["trial 02"]
    client._tracking_client.store._hard_delete_run(third.info.run_id)
    assert ("lost", "trial 02") in found()
    assert audit_main([STUDY], project) == 1
    before = sorted(project.rglob("*"))
    assert audit_main(["nothing"], project) == 2
    assert audit_main([STUDY, "--storage", "runs/typo.journal"], project) == 2
    assert audit_main([STUDY, "--storage", "sqlite:///no/such/optuna.db"], project) == 2
    assert audit_main([STUDY, "--tracking-uri", "sqlite:///no/such/mlflow.db"], project) == 2
    assert audit_main([STUDY], project / "studies") == 2
    assert sorted(project.rglob("*")) == before, "an audit makes nothing"


def test_the_end_of_every_command_repairs_mlflow_from_optuna(project: Path, run: Command) -> None:
    """After a power cut that lost the last lines of events: an ended trial is RUNNING, and lacks its last epoch."""
    run("--trials", "2")
    before = everything_tracked(project)
    for log in (project / f"runs/{STUDY}/trials").glob("*/events.jsonl"):
        lines = log.read_bytes().splitlines(keepends=True)
        log.write_bytes(b"".join(lines[:-5])[:-9])
    fresh = f"sqlite:///{project}/runs/fresh.db"
    said = run("--trials", "2", "--tracking-uri", fresh).splitlines()
    (line,) = [line for line in said if line.startswith("MLflow lacked")]
    num_points = sum(len(row) for row in last_rows(project)) + 4
    assert (
        line
        == f"MLflow lacked records of trial 00, trial 01 (2 ends, {num_points} points, 4 artifacts), now sent again."
    )
    assert everything_tracked(project, fresh) == before
    assert audit_study(STUDY, storage=None, tracking_uri=fresh, root=project).findings == []
    assert "MLflow lacked" not in run("--trials", "2", "--tracking-uri", fresh)


def last_rows(project: Path) -> list[dict[str, float]]:
    """The metrics of every trial's last epoch."""
    rows = [trial.user_attrs["epochs"][-1] for trial in load(project).get_trials(deepcopy=False)]
    return [{name: value for name, value in row.items() if name != "epoch"} for row in rows]


def everything_tracked(project: Path, uri: str | None = None) -> dict[str, object]:
    """All that MLflow has of the trials, points with their times included."""
    client = MlflowClient(uri or f"sqlite:///{project}/runs/mlflow.db")
    return {
        name: (
            (each.info.status, each.info.start_time, each.info.end_time, each.data.params, each.data.tags),
            {
                metric: sorted(
                    (p.step, p.timestamp, p.value) for p in client.get_metric_history(each.info.run_id, metric)
                )
                for metric in each.data.metrics
            },
            sorted(file.path for file in client.list_artifacts(each.info.run_id)),
        )
        for name, each in tracked_runs(project, uri).items()
        if name != "study"
    }


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
    (noted,) = (project / "runs/archive").glob("*/archived.json")
    whole = noted.read_text()
    noted.write_bytes(bytes(20))
    run("--trials", "1")
    assert noted.read_text() == whole
    assert noted.with_name("archived.json.damaged").exists()
    assert archived.stat().st_mtime_ns == before


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
    file.unlink()
    run("--trials", "1")
    assert file.read_text() == whole
    assert "study.json is missing. It is made again." in caplog.text


def test_a_folder_without_study_json_is_not_given_to_another_study_of_its_name(
    project: Path, run: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--trials", "1")
    (project / f"runs/{STUDY}/study.json").unlink()
    arguments = ["--study", "studies/tiny.toml", "--threads", "1", "--trials", "1", "--storage", "runs/other.journal"]
    assert hpo.run_study.main(arguments) == 2
    assert "another study of its name has left it" in capsys.readouterr().err
    run("--trials", "1")
