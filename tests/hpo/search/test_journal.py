"""The journal holds whole lines or nothing: where the disk is full, and where a process was killed in a line."""

import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage

from hpo.search.journal import WholeLinesJournal

ROOT = Path(__file__).resolve().parents[3]
FILL = """
import optuna, resource, sys
from optuna.storages import JournalStorage
from hpo.search.journal import WholeLinesJournal
study = optuna.create_study(study_name="s", storage=JournalStorage(WholeLinesJournal(sys.argv[1])))
study.add_trial(optuna.trial.create_trial(value=1.0))
size = __import__("pathlib").Path(sys.argv[1]).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, size + 20))
try:
    study.set_user_attr("long", "x" * 200_000)
except OSError as error:
    print("full:", error.errno)
"""


def storage(path: Path) -> JournalStorage:
    return JournalStorage(WholeLinesJournal(str(path)))


@pytest.fixture
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.mark.usefixtures("quiet")
def test_a_line_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "optuna.journal"
    done = subprocess.run([sys.executable, "-c", FILL, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "full:" in done.stdout
    assert path.read_bytes().endswith(b"\n")
    study = optuna.load_study(study_name="s", storage=storage(path))
    study.set_user_attr("next", 1)
    again = optuna.load_study(study_name="s", storage=storage(path))
    assert again.user_attrs == {"next": 1}
    assert len(again.trials) == 1


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("torn", [b'{"op_code":8,"wor', b"\x00\x00\x00"])
def test_what_a_killed_process_left_of_a_line_is_taken_away(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "optuna.journal"
    optuna.create_study(study_name="s", storage=storage(path))
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    optuna.load_study(study_name="s", storage=storage(path)).set_user_attr("next", 1)
    assert path.read_bytes().startswith(whole)
    assert torn not in path.read_bytes()
    assert optuna.load_study(study_name="s", storage=storage(path)).user_attrs == {"next": 1}
