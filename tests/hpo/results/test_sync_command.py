"""machine-listening sync: what it sends, what it says, and its exit codes."""

import json
import shutil
import socket
from collections.abc import Callable

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

import hpo.audit
import hpo.tracking.stored_runs
from core.decision.checkpoint import DETECTOR_FILE
from hpo.search.archive import ARCHIVED_FILE
from hpo.search.study import EXPERIMENT
from hpo.sync import main
from hpo.tracking.run_log import EVENTS_FILE_NAME, read_events
from tests.toy_study import NAME, Toy, wrong_states


def test_waiting_records_of_the_study_and_of_its_archived_ones_are_sent(toy: Toy) -> None:
    archived = toy.runs / "archive" / f"{NAME}-20261125-070000"
    shutil.copytree(toy.folder, archived)
    (archived / ARCHIVED_FILE).write_text(json.dumps({EXPERIMENT: "old-toy"}))
    assert toy.sync().num_sent == 2 * sum(len(read_events(path)) for path in toy.folder.rglob(EVENTS_FILE_NAME))
    experiment = MlflowClient(toy.uri).get_experiment_by_name("old-toy")
    assert experiment is not None
    assert len(MlflowClient(toy.uri).search_runs([experiment.experiment_id])) == 5


def test_the_command_says_what_it_did_and_ends_with_its_code(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    wrong_states(toy)
    assert main([NAME], toy.root) == 0
    assert main([NAME], toy.root) == 0
    for file in toy.folder.rglob(DETECTOR_FILE):
        file.unlink()
    for file in (toy.runs / "mlartifacts").rglob(DETECTOR_FILE):
        file.unlink()
    assert main([NAME], toy.root) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy: 5 ended trials compared: repaired from Optuna: 3 ends, 1 parameter or tag"
    assert lines[1] == "toy: 5 ended trials compared: nothing differs"
    assert lines[3].startswith(f"  left       trial 00: artifact {DETECTOR_FILE} is not on this machine")


def test_the_trials_of_a_companion_are_found_by_the_study_that_it_belongs_to(
    toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (main, hpo.audit.main):
        assert command([f"{NAME}-finalists"], toy.root) == 2
        expected = f"must be one of {NAME}, but got '{NAME}-finalists'. It belongs to {NAME}."
        assert expected in capsys.readouterr().err


def test_a_mistake_is_one_line_and_makes_nothing(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.ship()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    before = sorted(toy.root.rglob("*"))
    for arguments in (
        ["nothing"],
        [f"{NAME}-finalists"],
        [NAME, "--storage", "runs/typo.journal"],
        [NAME, "--tracking-uri", "sqlite:///no/such/mlflow.db"],
        [NAME, "--tracking-uri", f"http://127.0.0.1:{port}"],
    ):
        assert main(arguments, toy.root) == 2
        said = capsys.readouterr()
        assert said.err.startswith("error: ")
        assert said.err.count("\n") == 1
        assert said.out == ""
    assert sorted(toy.root.rglob("*")) == before


@pytest.mark.parametrize("command", [main, hpo.audit.main])
def test_a_damaged_database_is_one_line_of_both_commands(
    command: Callable[..., int], toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    (toy.runs / "mlflow.db").write_text("garbage\n")
    assert command([NAME], toy.root) == 2
    assert capsys.readouterr().err == (
        f"error: MLflow at {toy.uri} must answer, but (sqlite3.DatabaseError) file is not a database. "
        "Restore the file, or name another with --tracking-uri.\n"
    )


def test_a_server_that_is_away_is_one_line_with_one_stop(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
    assert hpo.audit.main([NAME, "--tracking-uri", uri], toy.root) == 2
    assert capsys.readouterr().err == (
        f"error: MLflow at {uri} must answer, but no connection; is it running? "
        "Start it, or name another with --tracking-uri.\n"
    )


def test_a_comparison_reads_all_runs_in_one_call_and_the_next_page_where_they_do_not_fit(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.ship()
    calls = []
    search = MlflowClient.search_runs
    monkeypatch.setattr(MlflowClient, "search_runs", lambda *a, **k: calls.append(1) or search(*a, **k))
    assert toy.reconciliation().differing() == []
    assert len(calls) == 1
    monkeypatch.setattr(hpo.tracking.stored_runs, "_RUNS_A_PAGE", 2)
    assert toy.reconciliation().differing() == []
    assert len(calls) == 1 + 3


def test_deleted_runs_are_read_too() -> None:
    assert hpo.tracking.stored_runs._ALL == ViewType.ALL
