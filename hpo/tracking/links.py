"""Where a browser finds what belongs to a study: its charts and runs in MLflow, its trials in the Optuna dashboard.

Knows no MLflow and no Optuna. What a program connects to is not always what a browser opens: a worker in a container
reaches http://mlflow:5000, a dashboard has an address that no storage tells. MLFLOW_BROWSER_URL and
DASHBOARD_BROWSER_URL, in the environment or in .env, say so where the guess would be wrong.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hpo.tracking.saved_view import VIEW_KEY
from hpo.tracking.settings import resolve_setting

HOST = "127.0.0.1"
MLFLOW_PORT, DASHBOARD_PORT = 5000, 8080
"""Of `make ui`, which takes the next that are free."""
LOCAL_STORAGE = "runs/optuna.journal"


@dataclass(frozen=True, kw_only=True)
class Pages:
    """Addresses without a slash at the end."""

    mlflow: str
    dashboard: str | None
    """None where nobody has said where the dashboard of the storage is."""


def resolve_pages(tracking_uri: str, *, storage_name: str, project_root: Path) -> Pages:
    """As the variables say; else MLflow's server itself, the dashboard of docker-compose.yml where .env has its port,
    and for the local stores what `make ui` opens."""

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
    """A server's own address without a name and password; what `make ui` opens for a database."""
    parts = urlsplit(tracking_uri)
    if parts.scheme not in ("http", "https"):
        return f"http://{HOST}:{MLFLOW_PORT}"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def charts_link(mlflow: str, experiment_id: str) -> str:
    """Every trial's test loss by epoch, overlaid, as the page opens. A version of MLflow that does not know the saved
    view, or lacks it, opens its charts as it always does."""
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
