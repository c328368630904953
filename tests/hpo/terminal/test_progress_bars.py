"""The bars: what all processes train, the best so far, the time left; nothing of a trial that has ended stays."""

import io
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console as RichConsole

from hpo.search.lease import TrialLease
from hpo.search.storage import StudyStorage
from hpo.search.study import OpenStudy, open_study
from hpo.search.study_file import load_study_file
from hpo.search.trial_record import EPOCHS, FACTS
from hpo.terminal.console import Console
from hpo.terminal.progress_bars import ProgressBars, study_progress
from hpo.terminal.time_left import Pace

ROOT = Path(__file__).resolve().parents[3]
LEASES: list[TrialLease] = []
"""Of claimed trials: one that is let go of frees its trial."""


@pytest.fixture
def search(tmp_path: Path) -> OpenStudy:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec = load_study_file(ROOT / "tests/data/tiny.toml")
    storage = StudyStorage(str(tmp_path / "optuna.journal"))
    return open_study("tiny", spec, data_fingerprint="f00", storage=storage, directory=tmp_path / "tiny")


def claim(search: OpenStudy, *val_aucs: float) -> optuna.Trial:
    """A trial that some process trains, with the AUCs of the epochs that have ended."""
    claimed = search.claim_trial(10)
    assert claimed is not None
    LEASES.append(claimed[1])
    for epoch, val_auc in enumerate(val_aucs, 1):
        claimed[0].report(val_auc, epoch)
    return claimed[0]


def end(search: OpenStudy, trial: optuna.Trial, val_f1: float) -> None:
    trial.set_user_attr(EPOCHS, [{"epoch": epoch} for epoch in (1, 2, 3)])
    trial.set_user_attr(FACTS, {"val_auc": 0.5, "num_weights": 10})
    search.study.tell(trial, val_f1, state=TrialState.COMPLETE)


def drawn(search: OpenStudy, *, estimate_s: float | None = 10.0, width: int = 80) -> str:
    """The rows as a terminal of so many columns has them."""
    rich = RichConsole(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    pace = Pace(num_processes=2, epochs=3, estimate_s=estimate_s)
    bars = ProgressBars(Console(rich), search, total=4, num_finalists=6, pace=pace)
    bars._draw(study_progress(search))
    with rich.capture() as captured:
        rich.print(bars._bars.get_renderable())
    return captured.get()


def test_every_process_s_trial_has_a_row_with_its_epoch_and_score(search: OpenStudy) -> None:
    claim(search, 0.25, 0.75)
    claim(search)
    rows = drawn(search).splitlines()
    assert [row.split()[0] for row in rows] == ["trials", "finalists", "trial", "trial"]
    assert "2/3" in rows[2]
    assert "val AUC 0.750" in rows[2]
    assert "0/3" in rows[3]
    assert "AUC" not in rows[3]


def test_the_best_of_an_earlier_call_is_there_at_once(search: OpenStudy) -> None:
    end(search, claim(search, 0.5), 0.625)
    assert "1/4 best expected F1 0.625 (trial 0)" in drawn(search).splitlines()[0]


def test_the_time_left_is_there_before_a_trial_has_ended_and_counts_finalists(search: OpenStudy) -> None:
    # Four trials and six finalists' trainings of 10 s each, by two processes.
    assert "0:00:50 left" in drawn(search).splitlines()[0]
    assert "-:--:-- left" in drawn(search, estimate_s=None).splitlines()[0]


@pytest.mark.parametrize("width", [80, 160])
def test_a_row_is_one_line_in_every_terminal(search: OpenStudy, width: int) -> None:
    end(search, claim(search, 0.5), 0.625)
    claim(search, 0.25, 0.75)
    assert len(drawn(search, width=width).splitlines()) == 3


def test_nothing_of_an_ended_trial_stays(search: OpenStudy) -> None:
    first = claim(search, 0.25, 0.75)
    rich = RichConsole(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    pace = Pace(num_processes=1, epochs=3, estimate_s=1.0)
    bars = ProgressBars(Console(rich), search, total=4, num_finalists=0, pace=pace)
    bars._draw(study_progress(search))
    end(search, first, 0.5)
    bars._draw(study_progress(search))
    assert [task.description for task in bars._bars.tasks if task.visible] == ["trials"]
    claim(search)
    bars._draw(study_progress(search))
    (row,) = [task for task in bars._bars.tasks if task.visible and task.description != "trials"]
    assert (row.description, row.completed, row.fields["note"]) == ("trial 01", 0, "")


def test_without_a_terminal_nothing_is_drawn(search: OpenStudy) -> None:
    rich = RichConsole(file=io.StringIO(), force_terminal=False)
    with ProgressBars(
        Console(rich), search, total=4, num_finalists=0, pace=Pace(num_processes=1, epochs=3, estimate_s=1.0)
    ):
        pass
    assert rich.file.getvalue() == ""  # type: ignore[attr-defined]
