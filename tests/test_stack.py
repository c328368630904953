"""The stack of docker-compose.yml, run for real: make test-stack

It has a project name, ports, images and volumes of its own, so it never meets a stack that is in use. Volumes are
removed at the end unless KEEP_VOLUMES is set; a second run then finds the first one's studies, and leaves them be.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "wavenet-stack-test"
PASSWORD = "of-the-test-alone"
EPOCHS = 3
"""Of tests/data/tiny.toml."""

pytestmark = pytest.mark.stack


def compose_command() -> list[str]:
    """`docker compose` or the older `docker-compose`; skips where there is no engine."""
    for command in (["docker", "compose"], ["docker-compose"]):
        found = shutil.which(command[0]) is not None
        if found and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip("there is no docker compose on this machine, which make test-stack needs")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no container engine answers on this machine (docker info), which make test-stack needs")
    return command


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, is_so: Callable[[], object], *, seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(1.0)


class Stack:
    """The compose project of the tests, beside a copy of this one whose runs/ its workers share."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        for name in ("core", "hpo", "studies"):
            shutil.copytree(ROOT / name, self.project / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "tests/data/tiny.toml", self.project / "studies/tiny.toml")
        (self.project / "runs").mkdir()
        owner = (os.getuid(), os.getgid()) if os.getuid() else (1000, 1000)
        os.chown(self.project / "runs", *owner)
        self.mlflow = f"http://127.0.0.1:{free_port()}"
        self.authorization = ""
        self.postgres_port = free_port()
        self.env_file = self.project / ".env"
        self._write_env_file(f"{owner[0]}:{owner[1]}")
        self._overlay = folder / "overlay.yml"
        servers, worker = ({"image": f"{PROJECT}-{name}"} for name in ("servers", "worker"))
        worker["volumes"] = [f"{self.project / 'studies'}:/app/studies:ro"]
        self._overlay.write_text(
            json.dumps({"services": {**dict.fromkeys(("init", "mlflow", "dashboard"), servers), "worker": worker}})
        )
        self._compose = compose_command()
        self.files = [ROOT / "docker-compose.yml", self._overlay]

    def _write_env_file(self, owner: str) -> None:
        """.env.example with what the tests want otherwise; its last two lines for the host stay as they are."""
        wanted = {
            "POSTGRES_PASSWORD": PASSWORD,
            "POSTGRES_PORT": str(self.postgres_port),
            "MLFLOW_PORT": self.mlflow.rsplit(":", 1)[1],
            "DASHBOARD_PORT": str(free_port()),
            "STUDY": "studies/tiny.toml",
            "WORKER_USER": owner,
            "TORCH_ARGS": os.environ.get("TORCH_ARGS", ""),
        }
        lines = (ROOT / ".env.example").read_text().splitlines()
        kept = [line for line in lines if line.partition("=")[0] not in wanted]
        more = [f"RUNS={self.project / 'runs'}", *(f"{key}={value}" for key, value in wanted.items())]
        self.env_file.write_text("\n".join([*more, *kept]) + "\n")

    def run_compose(self, *words: str, env_file: Path | None = None, **variables: str) -> tuple[int, str]:
        """Its exit code and all it said, with the variables set over .env."""
        files = [word for path in self.files for word in ("-f", str(path))]
        options = ["--project-directory", str(ROOT), "--env-file", str(env_file or self.env_file), "-p", PROJECT]
        clean = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        done = subprocess.run(
            [*self._compose, *files, *options, *words],
            env={**clean, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def compose(self, *words: str, **variables: str) -> None:
        code, said = self.run_compose(*words, **variables)
        assert code == 0, f"compose {words}:\n{said}"

    def sql(self, database: str, statement: str) -> str:
        [container] = self.containers("postgres")
        command = ["psql", "--username=wavenet", f"--dbname={database}", "--tuples-only", "--no-align"]
        return output("docker", "exec", container, *command, "-c", statement).strip()

    def up(self) -> None:
        self.compose("up", "-d", "--build")
        self.wait_until_healthy()

    def wait_until_healthy(self) -> None:
        for service in ("postgres", "mlflow", "dashboard"):
            [container] = self.containers(service)
            wait_for(
                f"{service} is healthy", lambda container=container: state(container)["Health"]["Status"] == "healthy"
            )

    def containers(self, service: str) -> list[str]:
        """Ids, of ended ones too."""
        labels = {"com.docker.compose.project": PROJECT, "com.docker.compose.service": service}
        filters = [word for key, value in labels.items() for word in ("--filter", f"label={key}={value}")]
        return output("docker", "ps", "--all", "--quiet", "--no-trunc", *filters).split()

    def start_workers(self, count: int, study: str, *, trials: int) -> None:
        options = f"--threads 1 --trials {trials} --name {study}"
        words = ["--profile", "workers", "up", "-d", "--build", "--scale", f"worker={count}"]
        self.compose(*words, WORKER_OPTIONS=options)

    def wait_for_workers(self) -> None:
        """Until each has ended well."""
        codes = output("docker", "wait", *self.containers("worker")).split()
        logs = [output("docker", "logs", each) for each in self.containers("worker")]
        assert set(codes) == {"0"}, "\n".join(logs)

    def trials(self, study: str) -> list[FrozenTrial]:
        """From PostgreSQL, through Optuna on this machine. Empty where there is no such study yet."""
        url = f"postgresql+psycopg2://wavenet:{PASSWORD}@127.0.0.1:{self.postgres_port}/optuna"
        storage = optuna.storages.RDBStorage(url)
        try:
            return optuna.load_study(study_name=study, storage=storage).trials
        except KeyError:
            return []
        finally:
            storage.engine.dispose()

    def num_ended(self, study: str) -> int:
        return sum(trial.state.is_finished() for trial in self.trials(study))

    def ask_mlflow(self, path: str, **question: Any) -> dict[str, Any]:
        """Its REST API, without its client: GET with words, POST with a body."""
        request = urllib.request.Request(f"{self.mlflow}/api/2.0/mlflow/{path}")
        if self.authorization:
            request.add_header("Authorization", self.authorization)
        if "json" in question:
            request.data = json.dumps(question["json"]).encode()
            request.add_header("Content-Type", "application/json")
        else:
            request.full_url += "?" + urllib.parse.urlencode(question)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return dict(json.load(reply))

    def studies_in_mlflow(self) -> set[str]:
        found = self.ask_mlflow("experiments/search", json={"max_results": 1000})
        return {each["name"] for each in found["experiments"]}

    def trial_runs(self, study: str) -> dict[int, dict[str, Any]]:
        """MLflow's runs of the study by the number of their trial; fails where a trial has two."""
        experiment = self.ask_mlflow("experiments/get-by-name", experiment_name=study)["experiment"]
        question = {"experiment_ids": [experiment["experiment_id"]], "max_results": 1000}
        numbered: dict[int, dict[str, Any]] = {}
        for run in self.ask_mlflow("runs/search", json=question).get("runs", []):
            tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
            if "optuna.trial" in tags:
                number = int(tags["optuna.trial"])
                assert number not in numbered
                numbered[number] = {"id": run["info"]["run_id"], "status": run["info"]["status"], "tags": tags}
        return numbered

    def curve(self, run_id: str, metric: str) -> list[int]:
        """The steps at which the metric was measured."""
        history = self.ask_mlflow("metrics/get-history", run_id=run_id, metric_key=metric).get("metrics", [])
        return [int(point.get("step", 0)) for point in history]

    def check_complete(self, study: str, *, trials: int) -> None:
        """Every trial has ended once, with its run, each epoch of its curves and its files in MLflow."""
        ended = self.trials(study)
        assert [trial.number for trial in ended] == list(range(trials))
        assert {trial.state for trial in ended} <= {TrialState.COMPLETE, TrialState.PRUNED}
        runs = self.trial_runs(study)
        assert sorted(runs) == list(range(trials))
        for trial in ended:
            run = runs[trial.number]
            assert run["tags"]["optuna.state"] == trial.state.name
            assert run["status"] == ("FINISHED" if trial.state is TrialState.COMPLETE else "KILLED")
            epochs = sorted(trial.intermediate_values)
            assert len(epochs) == EPOCHS or trial.state is TrialState.PRUNED
            assert self.curve(run["id"], "test_loss") == epochs
            files = self.ask_mlflow("artifacts/list", run_id=run["id"])["files"]
            assert any(file["path"].endswith(".safetensors") for file in files)


def output(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    return done.stdout


def state(container: str) -> dict[str, Any]:
    return dict(json.loads(output("docker", "inspect", "--format", "{{json .State}}", container)))


def study_name(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:6]}"


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
    stack.wait_for_workers()
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
    stack.wait_for_workers()
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
    stack.wait_for_workers()
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
    stack.wait_for_workers()
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
    stack.wait_for_workers()
    stack.check_complete(study, trials=2)
