"""A compose project for the tests of docker-compose.yml: brought up, given workers, asked through MLflow's REST API and
through Optuna, on ports, images and volumes of its own.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from core.project import MARKER

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "wavenet-stack-test"
PASSWORD = "of-the-test-alone"
EPOCHS = 3
"""Of tests/data/tiny.toml."""


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
        shutil.copy(ROOT / MARKER, self.project)
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

    def finish(self, study: str, *, trials: int) -> None:
        """Until the workers have ended and MLflow has every record. A worker waits seconds for a slow server at its
        end, not longer; what it leaves is sent by the next, which finds no trial to do."""
        self.wait_for_workers()
        for _ in range(5):
            if not any("have not reached" in self.last_words(each) for each in self.containers("worker")):
                return
            self.start_workers(1, study, trials=trials)
            self.wait_for_workers()
        raise AssertionError(self.last_words(self.containers("worker")[0]))

    def last_words(self, container: str) -> str:
        """Its log since it was last started."""
        return output("docker", "logs", "--since", str(state(container)["StartedAt"]), container)

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
