"""Real paths of files are those of the system, however a file is reached."""

import os
from pathlib import Path

import pytest

from core.data.real_paths import RealPaths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file, a link to it, a link to its folder, a broken link and a loop."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file.wav").touch()
    (tmp_path / "link.wav").symlink_to("a/b/file.wav")
    (tmp_path / "c").symlink_to("a/b")
    (tmp_path / "broken").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


NAMES = [
    "a/b/file.wav",
    "link.wav",
    "c/file.wav",
    "c",
    "broken",
    "loop",
    "missing/file.wav",
    "c/..",
    "c/../file.wav",
    ".",
    "a//b/",
]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_systems(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    real_paths = RealPaths()
    for path in (Path(name), folder / name, Path(f"{folder}/./{name}")):
        assert real_paths(path) == real_paths(path) == os.path.realpath(path)


def test_a_folder_is_resolved_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[str] = []
    real_path = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: resolved.append(str(path)) or real_path(path))
    real_paths = RealPaths()
    for number in range(3):
        real_paths(folder / "c" / f"{number}.wav")
    assert resolved == [str(folder / "c")]
