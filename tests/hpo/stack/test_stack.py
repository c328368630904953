"""The stack of docker-compose.yml, run for real: make test-stack

It has a project name, ports, images and volumes of its own, so it never meets a stack that is in use. Volumes are
removed at the end unless KEEP_VOLUMES is set; a second run then finds the first one's studies, and leaves them be.
"""

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tests.stack_project import PASSWORD, ROOT, Stack, output, state, study_name, wait_for

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.compose("--profile", "workers", "down", "--remove-orphans")  # what an earlier run left that was killed
    try:
        stack.up()
        before = stack.studies_in_mlflow()
        yield stack
        assert before <= stack.studies_in_mlflow(), "an earlier run's studies, in volumes that were kept"
    finally:
        volumes = [] if os.environ.get("KEEP_VOLUMES") else ["--volumes"]
        stack.compose("--profile", "workers", "down", "--remove-orphans", *volumes)


def test_two_workers_share_a_study_that_outlives_a_stop_of_the_stack_and_is_reported_on_the_host(stack: Stack) -> None:
    study, num_trials = study_name("shared"), 12
    stack.start_workers(2, study, trials=num_trials)
    stack.finish(study, trials=num_trials)
    stack.check_complete(study, trials=num_trials)
    assert len({trial.user_attrs["host"] for trial in stack.trials(study)}) == 2

    stack.compose("--profile", "workers", "stop")
    stack.compose("start", "postgres", "mlflow", "dashboard")
    stack.wait_until_healthy()
    stack.check_complete(study, trials=num_trials)

    command = [sys.executable, "hpo/run_study.py", "--study", "studies/tiny.toml", "--name", study]
    said = output_in(stack.project, *command, "--trials", str(num_trials), "--threads", "1", "--workers", "1")
    assert f"{stack.mlflow} (MLFLOW_TRACKING_URI in .env)" in said
    assert f"127.0.0.1:{stack.postgres_port}/optuna" in said
    assert PASSWORD not in said
    assert (stack.project / "runs" / study / "report.html").exists()
    assert (stack.project / "runs" / study / "winner" / "winner.json").exists(), "the workers' files are at hand"
    stack.check_complete(study, trials=num_trials)


def output_in(folder: Path, *command: str) -> str:
    clean = {key: value for key, value in os.environ.items() if key not in ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE")}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mlflow_killed_in_mid_study_costs_no_trial_and_no_record(stack: Stack) -> None:
    study, num_trials = study_name("killed"), 10
    stack.start_workers(2, study, trials=num_trials)
    wait_for("two trials have ended", lambda: stack.num_ended(study) >= 2)
    [mlflow] = stack.containers("mlflow")
    output("docker", "kill", mlflow)
    assert stack.num_ended(study) < num_trials, "it was killed too late to tell"
    stack.wait_for_workers()
    assert stack.num_ended(study) == num_trials
    stack.start_workers(1, study, trials=num_trials)  # finds no trial to do, and sends what the others could not
    stack.finish(study, trials=num_trials)
    stack.check_complete(study, trials=num_trials)


def test_a_worker_that_is_stopped_hands_its_trial_back_and_another_ends_it(stack: Stack) -> None:
    study, num_trials = study_name("stopped"), 30
    stack.start_workers(1, study, trials=num_trials)
    wait_for("a trial has ended", lambda: stack.num_ended(study) >= 1)
    stack.compose("--profile", "workers", "stop", "worker")
    [worker] = stack.containers("worker")
    assert state(worker)["ExitCode"] == 130, "it ended by itself, and was not killed"
    trials = stack.trials(study)
    assert len(trials) < num_trials, "it was stopped too late to tell"
    assert not [trial.number for trial in trials if trial.state is TrialState.RUNNING]
    stack.start_workers(1, study, trials=len(trials))
    stack.finish(study, trials=len(trials))
    stack.check_complete(study, trials=len(trials))


def test_servers_are_slim_nobody_is_root_and_strangers_are_turned_away(stack: Stack) -> None:
    for service in ("mlflow", "dashboard"):
        [container] = stack.containers(service)
        assert output("docker", "exec", container, "id", "-u").strip() != "0"
        assert "True" not in output("docker", "exec", container, "python", "-c", FIND_TORCH)
        ports = json.loads(output("docker", "inspect", "--format", "{{json .NetworkSettings.Ports}}", container))
        hosts = {binding["HostIp"] for bindings in ports.values() for binding in bindings or []}
        assert hosts == {"127.0.0.1"}
    request = urllib.request.Request(f"{stack.mlflow}/api/2.0/mlflow/experiments/search?max_results=1")
    request.add_header("Host", "stranger.example.org")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=30)


FIND_TORCH = "from importlib.util import find_spec; print(find_spec('torch') is not None)"


@pytest.mark.parametrize(
    ("database", "version", "said"),
    [
        ("mlflow", "a-version-to-come", "which is newer"),
        ("mlflow", "451aebb31d03", "which is older. Nothing was changed. Back it up"),
        ("optuna", "a-version-to-come", "which is newer"),
        ("optuna", "v2.6.0.a", "which is older. Nothing was changed. Back it up"),
    ],
)
def test_a_database_of_another_version_stops_init_in_one_line_and_stays_as_it_is(
    stack: Stack, database: str, version: str, said: str
) -> None:
    ours = stack.sql(database, "SELECT version_num FROM alembic_version")
    stack.sql(database, f"UPDATE alembic_version SET version_num = '{version}'")
    try:
        code, words = stack.run_compose("run", "--rm", "-T", "init")
        assert code == 2, words
        [line] = [line for line in words.splitlines() if line.startswith("error: ")]
        assert said in line
        assert "Traceback" not in words
        assert stack.sql(database, "SELECT version_num FROM alembic_version") == version
    finally:
        stack.sql(database, f"UPDATE alembic_version SET version_num = '{ours}'")


def test_init_finishes_what_was_left_half_made_and_is_harmless_afterwards(stack: Stack) -> None:
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    num_tables = stack.sql("optuna", tables)
    stack.sql("optuna", "DROP TABLE trial_heartbeats; DELETE FROM alembic_version")
    for found in ("unfinished", "current"):
        code, words = stack.run_compose("run", "--rm", "-T", "init")
        assert code == 0, words
        assert f"database optuna was {found}" in words
        assert stack.sql("optuna", tables) == num_tables


def test_without_a_password_or_with_the_wrong_one_one_line_says_so(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    code, words = stack.run_compose("config", env_file=tmp_path / ".env")
    assert code != 0
    assert "POSTGRES_PASSWORD must be set in .env" in words
    code, words = stack.run_compose("run", "--rm", "-T", "--no-deps", "-e", "PGPASSWORD=another", "init")
    assert code == 2
    [line] = [line for line in words.splitlines() if line.startswith("error: ")]
    assert "password authentication failed" in line
    assert "POSTGRES_PASSWORD in .env must be the password that the database was made with" in line


def test_a_runs_folder_of_somebody_else_is_one_line(stack: Stack) -> None:
    words = ["--profile", "workers", "run", "--rm", "-T", "--no-deps", "--user", "4321:4321", "worker"]
    code, said = stack.run_compose(*words)
    assert code == 2, said
    [line] = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "WORKER_USER" in line
    assert "Traceback" not in said


def test_artifacts_that_cannot_be_stored_wait_and_the_rest_goes_on(stack: Stack) -> None:
    study, num_trials = study_name("full"), 3
    [mlflow] = stack.containers("mlflow")
    output("docker", "exec", mlflow, "chmod", "a-w", "/mlartifacts")  # for its user as good as a full or read-only disk
    try:
        stack.start_workers(1, study, trials=num_trials)
        stack.wait_for_workers()
        [worker] = stack.containers("worker")
        [line] = [line for line in output("docker", "logs", worker).splitlines() if "have not reached" in line]
        assert "it answers 500" in line
        assert "make sure that the store of its artifacts can be written and has room" in line
        assert {run["status"] for run in stack.trial_runs(study).values()} <= {"FINISHED", "KILLED"}
    finally:
        output("docker", "exec", mlflow, "chmod", "u+w", "/mlartifacts")
    stack.start_workers(1, study, trials=num_trials)
    stack.finish(study, trials=num_trials)
    stack.check_complete(study, trials=num_trials)


def test_with_a_login_strangers_are_turned_away_and_workers_are_not(stack: Stack) -> None:
    """The last, because it makes the server another one."""
    password, study = "for-the-test-alone", study_name("login")
    stack.files = [*stack.files[:1], ROOT / "docker-compose.auth.yml", *stack.files[1:]]
    with stack.env_file.open("a") as file:
        file.write(f"MLFLOW_ADMIN_PASSWORD={password}\nMLFLOW_SECRET_KEY={uuid.uuid4().hex}\n")
    stack.up()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        stack.studies_in_mlflow()
    stack.authorization = f"Basic {base64.b64encode(f'admin:{password}'.encode()).decode()}"
    stack.start_workers(1, study, trials=2)
    stack.finish(study, trials=2)
    stack.check_complete(study, trials=2)
