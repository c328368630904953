"""The short form for `make test`: a real process, killed at an exact place and at a random time, then the audit."""

import random
import time
from pathlib import Path

from tests.faults.conftest import Found
from tests.faults.harness.study import Study
from tests.faults.test_exact_kills import PLACES, killed_at

PLACE = "the last metrics, before tell"


def test_kills_in_short(project: Path, found: Found, dice: random.Random) -> None:
    runs = project / "runs"
    tracking, storage = f"sqlite:///{runs}/mlflow.db", str(runs / "optuna.journal")
    study = Study(project=project, name="short", trials=1, storage=storage, tracking=tracking)
    killed_at(study, PLACE, PLACES[PLACE])
    process = study.start()
    time.sleep(dice.uniform(1, 6))
    process.kill()
    study.run_to_end()
    found("in short: SIGKILL at an exact place, and at a random time", 2, study.findings())
