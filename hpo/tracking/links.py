"""Links for a browser: a study's charts and runs in MLflow, its trials in the Optuna dashboard.

Imports neither MLflow nor Optuna. A browser may need another address than a program: a worker in a container reaches
http://mlflow:5000, and no storage knows the dashboard's address. MLFLOW_BROWSER_URL and DASHBOARD_BROWSER_URL, in the
environment or in .env, replace the addresses that are guessed here.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hpo.tracking.saved_view import VIEW_KEY
from hpo.tracking.settings import resolve_setting

HOST = "127.0.0.1"
MLFLOW_PORT, DASHBOARD_PORT = 5000, 8080
"""The first ports that `make ui` tries. It takes the next free ones."""
LOCAL_STORAGE = "runs/optuna.journal"


@dataclass(frozen=True, kw_only=True)
class Pages:
    """Addresses of the two servers, without a slash at the end."""

    mlflow: str
    dashboard: str | None
    """None where the address is unknown."""


def resolve_pages(tracking_uri: str, *, storage_name: str, project_root: Path) -> Pages:
    """The addresses that the variables name. Defaults: the MLflow server itself, the dashboard of docker-compose.yml
    where .env has its port, and for local databases those of `make ui`."""

    def resolve(variable: str, default: str) -> str:
        return resolve_setting(None, variable=variable, project_root=project_root, default=default).value

    port = ""
    if storage_name.startswith("postgresql"):
        port = resolve("DASHBOARD_PORT", "")
    elif storage_name == str((project_root / LOCAL_STORAGE).resolve()):
        port = str(DASHBOARD_PORT)
    dashboard = resolve("DASHBOARD_BROWSER_URL", f"http://{HOST}:{port}" if port else "")
    mlflow = resolve("MLFLOW_BROWSER_URL", _mlflow_page(tracking_uri))
    return Pages(mlflow=mlflow.rstrip("/"), dashboard=dashboard.rstrip("/") or None)


def _mlflow_page(tracking_uri: str) -> str:
    """A server's own address without name and password; for a database the address of `make ui`."""
    parts = urlsplit(tracking_uri)
    if parts.scheme not in ("http", "https"):
        return f"http://{HOST}:{MLFLOW_PORT}"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def charts_link(mlflow: str, experiment_id: str) -> str:
    """The page of the saved view: test loss by epoch, all trials in one chart. MLflow opens its default charts where it
    does not know the view."""
    return (
        f"{mlflow}/#/experiments/{experiment_id}/runs"
        f"?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey={VIEW_KEY}"
    )


def run_link(mlflow: str, experiment_id: str, run_id: str) -> str:
    return f"{mlflow}/#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"


def study_link(dashboard: str, study_id: int) -> str:
    return f"{dashboard}/dashboard/studies/{study_id}"


def trial_link(dashboard: str, study_id: int, number: int | str) -> str:
    return f"{study_link(dashboard, study_id)}/trials?numbers={number}"
