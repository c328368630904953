"""The project that a command works in: which folder it is, and whose `.env` is read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import UserError
from core.project import MARKER, check_project, find_project, make_project, reads_env


def marked(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()
    return folder


@pytest.fixture
def below(tmp_path: Path) -> Path:
    """A folder two levels below tmp_path."""
    folder = tmp_path / "a/b"
    folder.mkdir(parents=True)
    return folder


def test_the_nearest_folder_upwards_with_a_marker_is_the_project(tmp_path: Path, below: Path) -> None:
    marked(tmp_path)
    assert find_project(below).root == tmp_path
    marked(below.parent)
    assert find_project(below).root == below.parent


def test_without_a_marker_the_project_is_the_current_folder_and_says_so(
    below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(below)
    assert find_project().root == below
    assert str(find_project()) == f"{below} (the current folder: no {MARKER} here or above)"
    marked(below)
    assert str(find_project()) == f"{below} (it has {MARKER})"


@pytest.mark.parametrize("is_worktree", [False, True])
def test_a_marker_above_a_git_root_does_not_count(tmp_path: Path, below: Path, is_worktree: bool) -> None:
    marked(tmp_path)
    git = below.parent / ".git"
    git.touch() if is_worktree else git.mkdir()
    assert find_project(below).root == below
    marked(below.parent)
    assert find_project(below).root == below.parent, "that of the git root itself does"


def test_a_marker_above_the_home_folder_does_not_count(
    tmp_path: Path, below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked(tmp_path)
    monkeypatch.setenv("HOME", str(below.parent))
    assert find_project(below).root == below


def test_a_marker_that_every_user_may_have_made_does_not_count(tmp_path: Path, below: Path) -> None:
    marked(tmp_path).chmod(0o1777)
    assert find_project(below).root == below
    below.chmod(0o777)
    marked(below)
    assert not find_project(below).is_marked


def test_a_new_project_reads_the_env_file_that_is_made_later(tmp_path: Path) -> None:
    make_project(tmp_path)
    assert find_project(tmp_path).is_marked
    assert (tmp_path / "runs").is_dir()
    assert reads_env(tmp_path)


def test_an_env_file_that_is_older_than_the_project_is_never_read_and_a_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text("OPTUNA_STORAGE=postgresql://somebody@else/x\n")
    assert not reads_env(tmp_path)
    make_project(tmp_path)
    assert not reads_env(tmp_path)
    assert capsys.readouterr().out == (
        f"{tmp_path}/.env is not read. Set read_env = true in {tmp_path / MARKER} if it is for this project.\n"
    )
    make_project(tmp_path)
    assert capsys.readouterr().out == ""


def test_a_marker_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("read_env = false")
    make_project(tmp_path)
    assert (tmp_path / MARKER).read_text() == "read_env = false"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("read_env = 1", "must be true or false, but got 1"),
        ("read_env", "must be a TOML file"),
        (b"\xff", "TOML"),
        ("read_evn = false", f"{MARKER}: read_evn must be a known key, but is not. Known here: read_env."),
    ],
)
@pytest.mark.parametrize("read", [reads_env, find_project])
def test_a_marker_that_cannot_be_read_is_one_line_whoever_needs_it(
    read: Callable[[Path], object], tmp_path: Path, text: str | bytes, words: str
) -> None:
    (tmp_path / MARKER).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError, match=words) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", [make_project, check_project])
def test_a_folder_that_cannot_be_written_is_one_line(make: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    (tmp_path / "file").touch()
    for root in (tmp_path, tmp_path / "file/project"):
        with pytest.raises(UserError, match=r"The project must be a folder that can be written, but .* Start the"):
            make(root)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file", tmp_path / "runs"]


def test_a_check_of_a_folder_makes_nothing(tmp_path: Path) -> None:
    check_project(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
