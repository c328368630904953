import shutil
from pathlib import Path

import pytest

from tests.toy_study import Toy


@pytest.fixture
def toy(laid_out_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    for name in ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    toy = Toy(tmp_path)
    shutil.copy(laid_out_store, toy.runs / "mlflow.db")
    return toy
