"""The shape of the compose files: which ports, users and order the services have, and that no
password is written down.

They are read as text here; tests/hpo/stack/test_stack.py runs them.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.project import MARKER

ROOT = Path(__file__).resolve().parents[3]
BASE = "docker-compose.yml"
OVERLAYS = ("docker-compose.auth.yml", "docker-compose.gpu.yml")
SERVICES = ("postgres", "init", "mlflow", "dashboard", "worker")
OURS = ("init", "mlflow", "dashboard", "worker")
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def read(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / name).read_text()))


def service(name: str) -> dict[str, Any]:
    return dict(read(BASE)["services"][name])


def words(command: str | list[str]) -> str:
    return command if isinstance(command, str) else " ".join(command)


def dockerfile() -> list[list[str]]:
    """Its instructions, split into words."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def test_these_are_the_services() -> None:
    assert set(read(BASE)["services"]) == set(SERVICES)


def test_no_file_needs_a_compose_that_is_newer_than_the_older_one() -> None:
    """What docker-compose 1.29 does not know: a file's name, includes, inline configuration, waiting in watch mode."""
    for name in (BASE, *OVERLAYS):
        content = read(name)
        known = {"services", "volumes", *(key for key in content if key.startswith("x-"))}
        assert set(content) <= known, name
        text = (ROOT / name).read_text()
        assert not re.search(r"!reset|!override|\bdevelop:|required: false|start_interval|:\+", text), name


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_on_this_machine_alone(name: str) -> None:
    for port in service(name).get("ports", []):
        assert port.startswith("127.0.0.1:"), port
    assert service(name).get("network_mode") is None


@pytest.mark.parametrize("name", SERVICES)
def test_there_is_no_default_password(name: str) -> None:
    for key, value in service(name)["environment"].items():
        if "PASSWORD" in key:
            [(variable, operator, words)] = VARIABLE.findall(value)
            assert VARIABLE.fullmatch(value), "nothing but the variable"
            assert operator == "?", "empty or unset stops compose"
            assert variable in words, "the older compose does not name it"
            assert ".env" in words


def test_no_address_holds_a_password() -> None:
    """Or it would be in the list of processes, and in logs."""
    for name in (BASE, *OVERLAYS):
        assert not re.search(r"postgresql[\w+]*://\w+:", (ROOT / name).read_text()), name


def test_the_overlay_with_a_login_has_no_default_either() -> None:
    text = (ROOT / "docker-compose.auth.yml").read_text()
    secrets = VARIABLE.findall(text)
    assert {variable for variable, _, _ in secrets} == {"MLFLOW_ADMIN_PASSWORD", "MLFLOW_SECRET_KEY"}
    assert {operator for _, operator, _ in secrets} == {"?"}
    base, overlay = (read(name)["services"]["mlflow"]["command"] for name in (BASE, "docker-compose.auth.yml"))
    assert [word for word in overlay if word != "--app-name=basic-auth"] == base, "the rest is the same server"
    assert "\nflask-wtf==" in (ROOT / "requirements.lock").read_text(), "which the login needs"


def test_images_are_pinned_to_a_version_and_a_release_of_debian() -> None:
    assert service("postgres")["image"] == "postgres:15-bookworm"
    bases = [line[1] for line in dockerfile() if line[0] == "FROM"]
    stages = [line[3] for line in dockerfile() if line[0] == "FROM"]
    assert [base for base in bases if base not in stages] == ["python:3.11-slim-bookworm"]
    installs = [" ".join(line) for line in dockerfile() if "pip" in line and "install" in line]
    assert len(installs) == 2
    assert all(re.search(r"-r requirements(-torch)?\.lock$", install) for install in installs)


def test_the_servers_are_without_torch_and_nobody_is_root() -> None:
    stages: dict[str, list[list[str]]] = {}
    for line in dockerfile():
        if line[0] == "FROM":
            stages[line[3]] = [["FROM", line[1]]]
        else:
            stages[list(stages)[-1]].append(line)
    assert "torch" not in str(stages["libraries"]) + str(stages["servers"])
    for name in ("servers", "worker"):
        assert stages[name][-1] == ["USER", "app"]
        copied = [line[1] for line in stages[name] if line[0] == "COPY"]
        assert copied[-1] in ("hpo", "studies"), "code lies above libraries"
    for name in OURS:
        target = service(name)["build"]["target"]
        assert target == ("worker" if name == "worker" else "servers")
        assert service(name)["cap_drop"] == ["ALL"]
    assert service("worker")["user"] == "${WORKER_USER:-1000:1000}"


def test_the_images_hold_no_secrets_and_no_results() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines, "nothing but what is named"
    named = {line[1:] for line in lines if line.startswith("!")}
    assert not named & {".env", "runs", "."}
    copied = {word for line in dockerfile() if line[0] == "COPY" for word in line[1:-1]}
    assert copied <= named


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "init"])
def test_what_lasts_has_a_health_check_and_a_restart_policy(name: str) -> None:
    check = service(name)["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= set(check)
    assert service(name)["restart"] == ("on-failure:5" if name == "worker" else "unless-stopped")


def test_init_runs_once_and_its_success_is_waited_for() -> None:
    assert service("init")["restart"] == "no"
    assert service("init")["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("mlflow", "dashboard", "worker"):
        conditions = {key: value["condition"] for key, value in service(name)["depends_on"].items()}
        assert conditions["init"] == "service_completed_successfully"
        assert conditions["postgres"] == "service_healthy"
    assert service("worker")["depends_on"]["mlflow"] == {"condition": "service_healthy"}


@pytest.mark.parametrize("name", SERVICES)
def test_logs_are_rotated_and_signals_arrive(name: str) -> None:
    assert set(service(name)["logging"]["options"]) == {"max-size", "max-file"}
    assert service(name)["init"] is True
    command = words(service(name).get("command", ""))
    assert not re.search(r"(^|/)(ba)?sh -c", command), "a shell would keep the signal to itself"


def test_a_worker_has_the_time_to_hand_its_trial_back() -> None:
    from hpo.session.session import SECONDS_TO_SHIP_INTERRUPTED

    seconds = int(service("worker")["stop_grace_period"].removesuffix("s"))
    assert seconds >= 60 + SECONDS_TO_SHIP_INTERRUPTED
    assert service("worker")["profiles"] == ["workers"]
    assert "container_name" not in service("worker"), "it could not be scaled"
    assert "ports" not in service("worker")


def test_mlflow_is_reached_by_name_and_by_nobody_else() -> None:
    command = service("mlflow")["command"]
    [hosts] = [word.partition("=")[2].split(",") for word in command if word.startswith("--allowed-hosts=")]
    assert hosts == ["mlflow:5000", "localhost:*", "127.0.0.1:*"]
    assert service("worker")["environment"]["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert "--serve-artifacts" in command


def test_telemetry_is_off() -> None:
    [environment] = [" ".join(line) for line in dockerfile() if line[0] == "ENV"]
    for name in ("mlflow", "worker"):
        assert service(name)["environment"]["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert service(name)["environment"]["DO_NOT_TRACK"] == "1"
    for setting in ("MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=1", "HF_HUB_DISABLE_TELEMETRY=1"):
        assert setting in environment


def test_data_lie_in_named_volumes() -> None:
    volumes = set(read(BASE)["volumes"])
    assert service("postgres")["volumes"] == ["database:/var/lib/postgresql/data"]
    assert service("mlflow")["volumes"] == ["artifacts:/mlartifacts"]
    assert {"database", "artifacts"} <= volumes
    [recordings] = [volume for volume in service("worker")["volumes"] if "RECORDINGS" in volume]
    assert recordings.endswith(":ro")


def test_the_example_names_every_variable_and_sets_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpo.tracking.settings import resolve_setting

    example = (ROOT / ".env.example").read_text()
    used = {match for name in (BASE, *OVERLAYS) for match, _, _ in VARIABLE.findall((ROOT / name).read_text())}
    named = set(re.findall(r"^#?(\w+)=", example, flags=re.MULTILINE))
    assert used - {"RUNS"} <= named
    assert not re.search(r"^#?\w*(PASSWORD|KEY)=\S", example, flags=re.MULTILINE)
    (tmp_path / MARKER).touch()
    (tmp_path / ".env").write_text(example.replace("POSTGRES_PASSWORD=\n", "POSTGRES_PASSWORD=abc123\n"))
    for variable, value in {
        "OPTUNA_STORAGE": "postgresql://wavenet:abc123@127.0.0.1:55432/optuna",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
    }.items():
        monkeypatch.delenv(variable, raising=False)
        assert resolve_setting(None, variable=variable, project_root=tmp_path, default="") == (
            value,
            f"{variable} in .env",
        )


def test_ports_of_the_example_are_those_without_one() -> None:
    example = dict(re.findall(r"^(\w+_PORT)=(\d+)$", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    ports = [port for name in SERVICES for port in service(name).get("ports", [])]
    defaults = {variable: default for port in ports for variable, _, default in VARIABLE.findall(port)}
    assert defaults == example


def test_the_gpu_overlay_asks_for_one_gpu() -> None:
    worker = read("docker-compose.gpu.yml")["services"]["worker"]
    [device] = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
