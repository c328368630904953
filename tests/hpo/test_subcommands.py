"""The command machine-listening: its subcommands, what they load, and the project that they work in."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core import __version__
from core.project import MARKER
from hpo.run_study import SCRIPT, parse
from hpo.subcommands import SUBCOMMANDS, main
from hpo.worker_command import worker_command

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "optuna", "mlflow", "pandas", "datasets", "librosa", "scipy", "sklearn", "plotly", "sqlalchemy")


def loaded_by(code: str) -> str:
    """Which of HEAVY are loaded after the code; the last line of its output."""
    code = f"import contextlib, sys\nwith contextlib.suppress(SystemExit):\n    {code}\n"
    code += f"print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in SUBCOMMANDS)])
def test_help_and_version_load_no_library(arguments: list[str]) -> None:
    assert loaded_by(f"from hpo.subcommands import main; main({arguments!r})") == "[]"


def test_importing_the_python_interface_loads_no_library() -> None:
    assert loaded_by("import machine_listening") == "[]"


def test_importing_what_a_worker_runs_loads_no_library_that_only_pages_need() -> None:
    assert not {"sklearn", "pandas", "datasets", "librosa"} & set(ast.literal_eval(loaded_by("import hpo.search_run")))


def test_help_of_every_subcommand_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for name in SUBCOMMANDS:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        text = capsys.readouterr().out
        assert f"usage: machine-listening {name} " in text
        assert f"\nexamples:\n  machine-listening {name}" in text


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"machine-listening {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            [],
            "The subcommand must be one of study, survey, detect, ui, audit, sync, store, but got nothing. See --help.",
        ),
        (["studdy"], "sync, store, but got 'studdy'. Did you mean study? See --help."),
        (["study", "--study", "quickstrat"], "but got 'quickstrat'. Did you mean quickstart?"),
        (["study", "--study", "no/such.toml"], "but got 'no/such.toml'."),
        (["survey", "simulated", "--study", "quickstrat"], "but got 'quickstrat'."),
        (["store", "--emtpy"], "unrecognized arguments: --emtpy"),
        (["ui", "now"], "unrecognized arguments: now"),
    ],
)
def test_a_wrong_word_is_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code: object = main(arguments)
    except SystemExit as end:  # of a study, which ends the process itself
        code = end.code
    said = capsys.readouterr().err
    assert code == 2
    assert words in said
    assert re.fullmatch(r"error: [^\n]*\n", said)


@pytest.mark.parametrize("text", ["read_evn = false", "junk = ["])
@pytest.mark.parametrize("arguments", [["study", "--dry-run"], ["survey"], ["ui"], ["store"], ["audit", "x"]])
def test_a_marker_that_is_wrong_stops_every_command_of_the_project_in_one_line(
    arguments: list[str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / MARKER).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hpo.stack.ui.serve", pytest.fail)
    assert main(arguments) == 2
    assert re.fullmatch(rf"error: {tmp_path}/{MARKER}\W[^\n]*\n", capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == [tmp_path / MARKER], "nothing half-made"


def test_detection_and_help_need_no_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / MARKER).write_text("junk = [")
    monkeypatch.chdir(tmp_path)
    assert main(["detect", "no/such/study", "x.wav"]) == 2
    assert "no/such/study must be a study's folder" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["survey", "--help"])
    assert end.value.code == 0


@pytest.mark.parametrize("name", ["quickstart", "quickstart.toml", "cars_10s", "own.toml", "./own.toml"])
def test_a_study_file_is_found_by_name_and_by_path_from_any_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "tests/data/tiny.toml", tmp_path / "own.toml")
    assert main(["survey", "simulated", "--study", name]) == 0
    assert capsys.readouterr().out.startswith(f"Project: {tmp_path} (the current folder: no {MARKER} here or above)\n")


def test_the_store_of_the_project_above_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / MARKER).touch()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert main(["store"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == f"{tmp_path}/runs/store: 0 files, 0 GB"


def test_a_store_that_is_asked_for_must_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in ([], ["--empty"]):
        assert main(["store", "--store", str(tmp_path / "stroe"), *options]) == 2
        assert capsys.readouterr().err == (
            f"error: --store must be a folder that exists, but got {tmp_path}/stroe. Correct the path.\n"
        )
    assert main(["store", "--store", str(tmp_path)]) == 0


@pytest.mark.parametrize("program", [SCRIPT, "machine-listening study"])
def test_a_worker_is_started_as_its_study_was(program: str, tmp_path: Path) -> None:
    given = ["--study", "quickstart", "--trials", "3", "--no-store", "--name", "x"]
    options = parse(given, root=tmp_path, program=program)
    python, *arguments = worker_command(options, threads=2)
    assert python == sys.executable
    if program == SCRIPT:
        assert arguments.pop(0) == str(ROOT / "hpo/run_study.py")
    else:
        assert [arguments.pop(0) for _ in range(4)] == ["-P", "-m", "machine_listening", "study"]
    again = vars(parse(arguments, root=tmp_path, program=program))
    changed = {name: value for name, value in vars(options).items() if again[name] != value}
    assert changed == {"worker": False, "threads": None}
