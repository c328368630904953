"""Wrong input: one line that names the thing, the rule and the repair, exit code 2, and nothing half-made."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import hpo.run_study
import hpo.session.inputs
from hpo.search.storage import StudyStorage
from hpo.search.study import open_study
from hpo.search.study_file import load_study_file

ROOT = Path(__file__).resolve().parents[2]
Say = Callable[..., str]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs the command with a mistake in it and returns the line that it says."""
    (tmp_path / "studies").mkdir()
    shutil.copy(ROOT / "tests/data/tiny.toml", tmp_path / "studies/tiny.toml")
    monkeypatch.setattr(hpo.run_study, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str) -> str:
        code = hpo.run_study.main(["--study", "studies/tiny.toml", *arguments])
        said = capsys.readouterr()
        assert code == 2, said
        assert all(line.startswith("Decoding ") for line in said.out.splitlines()), said.out
        assert said.err.count("\n") == 1, said.err
        assert said.err.startswith("error: ")
        assert {path.name for path in tmp_path.glob("runs/*") if path.is_dir()} <= {"store"}, "nothing half-made"
        return said.err

    return call


def write(path: Path, seconds: float = 1.2, channels: int = 1, rate_hz: int = 8000, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, (round(seconds * rate_hz), channels))
    soundfile.write(path, noise, rate_hz)


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    """A folder that would do: six normal and four anomalous takes."""
    for index in range(6):
        write(tmp_path / f"takes/normal/{index}.wav", seed=index)
    for index in range(4):
        write(tmp_path / f"takes/anomalous/{index}.wav", seed=100 + index)
    return tmp_path / "takes"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--trials", "0"), "must be a whole number of at least 1, but got '0'"),
        (("--trials", "-3"), "must be a whole number of at least 1, but got '-3'"),
        (("--trials", "many"), "but got 'many'"),
        (("--trails", "3"), "--trails"),
        (("--set", "window_ms=-3"), "postprocessing.window_ms must be above 0, but got -3"),
        (("--set", "window=3"), "Near it: window_ms"),
        (("--set", "window_ms"), "--set must be NAME=VALUE, but got 'window_ms'"),
        (("--set", "training.epoch=3"), "Near it: training.epochs"),
        (("--worker", "--set", "training.epochs=0"), "training.epochs must be at least 1"),
        (("--once", "--set", "window=3"), "Near it: window_ms"),
        (("--once", "--set", "window_ms=-5"), "must lie in 100 to 1000, log, but got -5"),
        (("--once", "--set", "window_ms=0"), "must lie in 100 to 1000, log, but got 0"),
        (("--once", "--set", "window_ms=nan"), "must lie in 100 to 1000, log, but got nan"),
        (("--once", "--set", "window_ms=inf"), "must lie in 100 to 1000, log, but got inf"),
        (("--once", "--set", "learning_rate=1e400"), "must lie in 0.001 to 0.02, log, but got 1e400"),
        (("--once", "--set", "residual_channels=6"), "must lie in 4 to 8, step 4, but got 6"),
        (("--once", "--set", "training.epochs=0"), "training.epochs must be at least 1, but got 0"),
        (("--once", "--set", "dilation_depth=deep"), "must be of type int"),
        (("--once", "--set", "dilation_depth=99"), "must lie in 4 to 6, but got 99"),
        (("--once", "--dry-run"), "not allowed with argument"),
        (("--no-store", "--store", "elsewhere"), "not allowed with argument"),
        (("--dry-run", "--worker"), "--worker must come with a search, but came with --dry-run"),
        (("--dry-run", "--storage", "mysql://x/y"), "must begin with sqlite:/// or postgresql://"),
        (("--study", "studies/none.toml"), "studies/none.toml"),
        (("--data", "folder:nowhere"), "nowhere"),
        (("--data", "tape:1"), "must be one of"),
        (("--name", "../up"), "--name"),
        (("--name", "store"), "must not be that of another thing in runs/"),
        (("--name", "Archive"), "must not be that of another thing in runs/"),
        (("--name", "mlartifacts"), "must not be that of another thing in runs/"),
        (("--name", "mlflow.db"), "must not be that of another thing in runs/"),
        (("--name", "mlflow.db-wal"), "must not be that of another thing in runs/"),
        (("--name", "mlflow.db.opening.lock"), "must not be that of another thing in runs/"),
        (("--name", "optuna.journal"), "must not be that of another thing in runs/"),
        (("--name", "optuna.journal.claims"), "must not be that of another thing in runs/"),
        (("--name", "x" * 151), "A study's name must have at most 150 bytes, but 'xxx"),
        (("--name", "cars-finalists"), "must not end with -finalists"),
        (("--device", "cuda"), "--device cuda must have a GPU"),
        (("--tracking-uri", "htp://x"), "tracking URI must"),
        (("--tracking-uri", "http://:5000"), "tracking URI must"),
        (("--storage", "mysql://x/y"), "must begin with sqlite:/// or postgresql://"),
        (("--storage", "postgresql://nobody@127.0.0.1:1/none"), "must be one that can be opened"),
        (("--storage", "sqlite://"), "must be a file that lasts"),
        (("--storage", "sqlite:////nonexistent/dir/x.db"), "there is no folder /nonexistent/dir"),
        (("--storage", "sqlite:///nowhere/x.db"), "must be a file in a folder that exists"),
        (("--storage", "/nonexistent/x.journal"), "there is no folder /nonexistent"),
        (("--storage", "nowhere/x.journal"), "must be a file in a folder that exists"),
        (("--tracking-uri", "sqlite:////nonexistent/dir/x.db"), "The tracking database must be a file in a folder"),
        (("--rerun", "4"), "there is no study of that name"),
        (("--page", "0"), "there is no study of that name"),
    ],
)
def test_a_wrong_word_on_the_command_line(say: Say, arguments: tuple[str, ...], said: str) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert said in say(*arguments)


@pytest.fixture
def _nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object, **__: object) -> None:
        raise AssertionError("what was known before must be refused before anything is decoded")

    monkeypatch.setattr(hpo.session.inputs, "open_datasets", decode)


@pytest.mark.usefixtures("_nothing_is_decoded")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--device", "cuda"), "--device cuda must have a GPU"),
        (
            (),
            "Study 'tiny-simulated' must keep the space and the data it was made with, but data_fingerprint was 'f00'",
        ),
        (("--worker",), "but data_fingerprint was 'f00'"),
        (("--once",), "but data_fingerprint was 'f00'"),
        (("--once", "--set", "window_ms=-5"), "must lie in 100 to 1000, log, but got -5"),
        (("--rerun", "0"), "--rerun must be a trial of the study, but got 0"),
        (("--page", "0"), "The trial must be one of the study's that has ended an epoch, but got 0"),
        (("--page", "0", "--name", "unknown"), "no study of that name (unknown). Known: tiny-simulated."),
    ],
)
def test_what_is_known_before_is_refused_before_anything_is_decoded(
    say: Say, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    storage = StudyStorage(str(tmp_path / "runs/optuna.journal"))
    spec = load_study_file(tmp_path / "studies/tiny.toml")
    folder = tmp_path / "elsewhere"
    open_study("tiny-simulated", spec, data_fingerprint="f00", storage=storage, directory=folder)
    assert said in say(*arguments)


@pytest.mark.usefixtures("_nothing_is_decoded")
@pytest.mark.parametrize("store", [("--no-store",), ("--store", "elsewhere")])
def test_a_project_that_cannot_be_written_is_refused_before_anything_is_decoded(
    say: Say, tmp_path: Path, store: tuple[str, ...]
) -> None:
    (tmp_path / "runs").touch()
    assert "The project must be a folder that can be written" in say(*store)


@pytest.mark.parametrize("name", ["mine", "tiny.folds"])
def test_a_name_at_whose_place_something_else_is(
    say: Say, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say is not None
    (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / name / "thesis.tex").touch()
    assert hpo.run_study.main(["--study", "studies/tiny.toml", "--no-store", "--name", name]) == 2
    assert "is no study's folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "runs").rglob("*")] == [name, "thesis.tex"]


def test_an_empty_folder(say: Say, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty" in say("--data", "folder:empty")


def test_no_normal_recordings(say: Say, takes: Path) -> None:
    shutil.rmtree(takes / "normal")
    assert "normal" in say("--data", "folder:takes")


def test_too_few_normal_recordings(say: Say, takes: Path) -> None:
    for index in range(3):
        (takes / f"normal/{index}.wav").unlink()
    assert "at least 4 normal takes" in say("--data", "folder:takes")


def test_one_short_recording_says_how_much_is_needed(say: Say, takes: Path) -> None:
    shutil.rmtree(takes)
    write(takes / "normal/only.wav", seconds=2.0)
    line = say("--data", "folder:takes")
    assert "cut into 4 parts of" in line
    assert "but got 1 of 2 s" in line


@pytest.mark.usefixtures("takes")
def test_faults_to_inject_beside_real_ones(say: Say) -> None:
    assert "[faults] must be left out" in say("--data", "folder:takes", "--set", "faults.seed=1")


@pytest.mark.usefixtures("takes")
def test_a_fault_that_the_library_lacks(say: Say) -> None:
    assert "faults.kinds must be of missing pulses" in say("--data", "folder:takes", "--set", 'faults.kinds=["squeal"]')


def test_mixed_channel_counts(say: Say, takes: Path) -> None:
    write(takes / "normal/7.wav", channels=2)
    assert "number of channels must be the same" in say("--data", "folder:takes")


BAD: dict[str, Callable[[Path], None]] = {
    "not audio": lambda path: path.write_text("this is not sound"),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:4000]),
    "silent": lambda path: soundfile.write(path, np.zeros(9600), 8000),
    "NaN": lambda path: soundfile.write(path, np.full(9600, np.nan), 8000, subtype="FLOAT"),
    "short": lambda path: write(path, seconds=0.3),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named(say: Say, takes: Path, kind: str) -> None:
    path = takes / "normal/3.wav"
    write(path)
    BAD[kind](path)
    assert "3.wav" in say("--data", "folder:takes")


def test_bad_files_are_left_out_and_listed_where_that_is_asked_for(
    say: Say, takes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say is not None  # the project is set up
    for index in range(6, 16):
        write(takes / f"normal/{index}.wav", seed=index)
    for index, kind in enumerate(("not audio", "silent")):
        BAD[kind](takes / f"normal/{index}.wav")
    options = ["--study", "studies/tiny.toml", "--data", "folder:takes", "--skip-bad-files", "--dry-run"]
    assert hpo.run_study.main(options) == 0
    out = capsys.readouterr().out
    assert "left out" in out
    assert "0.wav" in out
    assert "1.wav" in out


def test_a_dry_run_writes_nothing(say: Say, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert say is not None
    before = sorted(tmp_path.rglob("*"))
    assert hpo.run_study.main(["--study", "studies/tiny.toml", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out.index("Study ") < out.index("Measuring ") < out.index("estimate"), "each is said before it takes time"
    assert sorted(tmp_path.rglob("*")) == before


def test_trials_that_share_a_training_are_not_estimated_as_if_each_trained(
    say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say is not None
    fixed = ("dilation_depth=5", "residual_channels=4", "receptive_field_ms=8", "learning_rate=1e-2")
    options = [word for each in fixed for word in ("--set", each)]
    tiny = ["--study", "studies/tiny.toml", "--trials", "40", "--no-finalists", "--dry-run"]
    assert hpo.run_study.main([*tiny, *options]) == 0
    out = capsys.readouterr().out
    assert "  trials    40 over 1 training;" in out


def test_the_goal_of_other_recordings_is_not_the_simulated_car_s(
    say: Say, takes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say is not None
    for index in range(6, 16):
        write(takes / f"normal/{index}.wav", seed=index)
    for options, goal in (([], "Be over in a second"), (["--data", "folder:takes"], "recordings of 'takes'?")):
        assert hpo.run_study.main(["--study", "studies/tiny.toml", "--no-store", "--dry-run", *options]) == 0
        (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Study "))
        assert goal in line
