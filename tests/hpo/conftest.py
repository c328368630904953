from pathlib import Path

import pytest

from hpo.tracking.mlflow import MlflowExperiment
from hpo.tracking.target import TrackingTarget


@pytest.fixture(scope="session")
def laid_out_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes two seconds to lay out its tables; tests take copies."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowExperiment(TrackingTarget(uri=f"sqlite:///{path}", experiment="laid-out"))
    return path
