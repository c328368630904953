"""Files of ended trials that are damaged or gone: the command makes them again, and finds what it had found."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch
from mlflow import MlflowClient

import hpo.results.trial_files
import hpo.run_study
from core.decision.checkpoint import DETECTOR_FILE
from core.decision.score_file import load_scores
from core.errors import UserError
from core.experiment import SCORES_FILE, EpochResult
from core.model.tensor_file import read_tensors
from hpo.results.alternatives import kept_comparison
from tests.hpo.studies import STUDY, Command, load, tracked_runs

WAYS: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "NULs": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "deleted": lambda path: path.unlink(),
}
TRIAL_FILES = (DETECTOR_FILE, SCORES_FILE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished study. The study's folder is kept beside it, and each test begins with that."""
    root = Path(__file__).resolve().parents[3]
    project = tmp_path_factory.mktemp("finished") / "project"
    project.mkdir()
    shutil.copy(root / "machine-listening.toml", project)
    for name in ("core", "hpo", "studies"):
        shutil.copytree(root / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = project / "studies/tiny.toml"
    text = (root / "tests/data/tiny.toml").read_text().replace("lag = 3", "lag = 1")  # so that the third is pruned
    file.write_text(text.replace("new_seeds = 0", "count = 1\nnew_seeds = 1\nepochs_factor = 1.4"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        for name in ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE"):
            patch.delenv(name, raising=False)
        arguments = ["--study", "studies/tiny.toml", "--threads", "1", "--trials", "3"]
        assert hpo.run_study.main(arguments, project) == 0
    shutil.copytree(project / "runs" / STUDY, project.parent / STUDY)
    return project


@pytest.fixture
def project(finished: Path) -> Path:
    """That of `run`, which is tests/conftest.py's."""
    shutil.rmtree(finished / "runs" / STUDY)
    shutil.copytree(finished.parent / STUDY, finished / "runs" / STUDY)
    return finished


@pytest.fixture
def study(project: Path) -> Path:
    return project / "runs" / STUDY


def result_of(study: Path) -> dict[str, Any]:
    """Without times, and without the commit, which may be "-dirty" by now."""
    result: dict[str, Any] = json.loads((study / "result.json").read_text())
    for name in ("created", "git_commit"):
        del result[name]
    del result["post"]["seconds"]
    return result


@pytest.mark.parametrize("way", [pytest.param(way, marks=() if way == "NULs" else pytest.mark.slow) for way in WAYS])
def test_the_command_makes_them_again_and_finds_the_same(
    study: Path, run: Command, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    before = result_of(study)
    chosen = (study / before["winner"]["checkpoint"]).parent
    assert chosen.parents[1].name == "finalists", "the winner is a training of the companion"
    paths = [study / f"trials/000{n}" / TRIAL_FILES[n] for n in (0, 1)] + [chosen / name for name in TRIAL_FILES]
    contents = {path: path.read_bytes() for path in paths}
    derived = [study / name for name in ("result.json", "winner/winner.json", "winner/checkpoint.safetensors")]
    handed_over = derived[-1].read_bytes()
    for path in [*paths, *derived, study / "report.html", study / "trials/0000/page.html"]:
        WAYS[way](path)
    run("--trials", "3")
    assert result_of(study) == before
    assert {path: path.read_bytes() for path in paths} == contents
    assert derived[-1].read_bytes() == handed_over
    weights = [read_tensors(file)[0] for file in (derived[-1], chosen / DETECTOR_FILE)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0].keys() | weights[1].keys())
    said = [record.getMessage() for record in caplog.records if "again" in record.getMessage()]
    assert sorted(line.split()[1] for line in said) == sorted(str(path) for path in paths), "one line a file"
    assert all(line.endswith(" is made again from its training.") for line in said)
    aside = [path.with_name(f"{path.name}.damaged") for path in paths]
    assert [path.exists() for path in aside] == [way != "deleted"] * len(paths)
    caplog.clear()
    run("--trials", "3")
    assert caplog.records == [], "once"


def test_a_training_that_was_dropped_is_trained_again_for_them(
    study: Path, run: Command, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a machine that has never had the trials' files and joins the study's storage."""
    before = result_of(study)
    folders = [study / "trials/0000", study / "trials/0001", (study / before["winner"]["checkpoint"]).parent]
    paths = [folder / name for folder in folders for name in TRIAL_FILES]
    contents = [path.read_bytes() for path in paths]
    for folder in (study / "trainings", study / "trials", study / "finalists"):
        shutil.rmtree(folder)
    run("--trials", "3")
    assert [path.read_bytes() for path in paths] == contents
    assert result_of(study) == before
    assert f"{paths[0]} is missing. It is made again; " in caplog.text
    num_finalist_trainings = len(list((study / "finalists/trials").iterdir()))
    assert caplog.text.count("epochs are trained for it.") == 2 * (2 + num_finalist_trainings), "two files of each"


def test_the_page_of_a_pruned_trial_is_made_without_its_files(
    study: Path, run: Command, caplog: pytest.LogCaptureFixture
) -> None:
    (pruned,) = (trial for trial in load(study.parents[1]).trials if trial.state is optuna.trial.TrialState.PRUNED)
    folder = study / f"trials/{pruned.number:04d}"
    contents = [(folder / name).read_bytes() for name in TRIAL_FILES]
    num_epochs = len(list((study / "trainings").rglob("epoch_*")))
    for name in TRIAL_FILES:
        (folder / name).write_bytes(b"")
    run("--page", str(pruned.number))
    assert (folder / "page.html").exists()
    assert [(folder / name).read_bytes() for name in TRIAL_FILES] == contents
    assert len(list((study / "trainings").rglob("epoch_*"))) == num_epochs, "a pruned trial is not trained on"
    assert caplog.text.count("is made again from its training") == 2


def test_files_that_are_made_again_are_sent_to_mlflow_again(study: Path, run: Command) -> None:
    project, folder = study.parents[1], study / "trials/0000"
    client = MlflowClient(f"sqlite:///{project}/runs/mlflow.db")
    whole = (folder / DETECTOR_FILE).read_bytes()
    run_id = tracked_runs(project)["trial 00"].info.run_id
    (stored,) = (project / "runs/mlartifacts").rglob(f"{run_id}/artifacts/{DETECTOR_FILE}")
    for path in (stored, folder / DETECTOR_FILE):
        path.write_bytes(b"")
    run("--trials", "3")
    assert stored.read_bytes() == whole
    assert {file.path for file in client.list_artifacts(run_id)} >= set(TRIAL_FILES)


def test_it_is_said_where_another_machine_calculates_otherwise(
    study: Path, run: Command, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_experiment = hpo.results.trial_files.run_experiment

    def elsewhere(*arguments: Any, **options: Any) -> Iterator[EpochResult]:
        for result in run_experiment(*arguments, **options):
            yield replace(result, metrics={**result.metrics, "val_auc": 0.123})

    monkeypatch.setattr(hpo.results.trial_files, "run_experiment", elsewhere)
    (study / "trials/0000" / SCORES_FILE).unlink()
    run("--page", "0")
    assert caplog.text.count("trial 00 made again has validation AUC 0.123 at epoch ") == 1


def test_a_process_that_dies_while_it_makes_them_leaves_no_file_of_another_epoch(
    study: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study / "trials/0000"
    contents = [(folder / name).read_bytes() for name in TRIAL_FILES]
    assert load(study.parents[1]).trials[0].user_attrs["facts"]["best_epoch"] > 1
    (folder / SCORES_FILE).write_bytes(b"")
    run_experiment = hpo.results.trial_files.run_experiment

    def dying(*arguments: Any, **options: Any) -> Any:
        yield next(run_experiment(*arguments, **options))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hpo.results.trial_files, "run_experiment", dying)
        assert hpo.run_study.main(["--study", "studies/tiny.toml", "--threads", "1", "--page", "0"]) == 130
    assert (folder / DETECTOR_FILE).read_bytes() == contents[0]
    assert not (folder / SCORES_FILE).exists()
    assert not (folder / ".again").exists()
    run("--page", "0")
    assert [(folder / name).read_bytes() for name in TRIAL_FILES] == contents


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b'{"key": "x", "ro', b"[]"])
def test_a_damaged_comparison_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    (tmp_path / "comparison.json").write_bytes(content)
    search: Any = SimpleNamespace(directory=tmp_path)
    assert kept_comparison(search, {"checkpoint": "none"}) == []
    assert caplog.text.count("is made again with --compare") == 1
    assert (tmp_path / "comparison.json.damaged").read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"PK\x03\x04", b"\x80\x04."])
def test_scores_that_cannot_be_read_are_an_error_of_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / SCORES_FILE
    path.write_bytes(content)
    with pytest.raises(UserError, match="must be a file of frame scores") as error:
        load_scores(path)
    assert "\n" not in str(error.value)
