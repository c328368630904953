"""Files, folders and patterns to files: what is audio is found once, the rest is counted."""

import re
from pathlib import Path

import pytest

from core.detection.audio_paths import find_audio
from core.errors import UserError


@pytest.fixture(autouse=True)
def takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with audio, other files, hidden ones, and links out of it and in a circle."""
    for name in (
        "takes/a.wav", "takes/b.FLAC", "takes/notes.txt", "takes/.hidden.wav", "takes/x/c.wav", "takes/x/y/d.wav",
        "takes/.trash/e.wav", "takes/x/z.csv", "outside/f.wav", "empty/readme.txt", "takes[1].wav",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "takes/out.wav").symlink_to(tmp_path / "outside/f.wav")
    (tmp_path / "takes/x/loop").symlink_to(tmp_path / "takes")
    (tmp_path / "takes/x/y/loop").symlink_to(tmp_path / "takes")
    (tmp_path / "nothing").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "names", "num_passed_over"),
    [
        (["takes/a.wav", "gone.wav"], ["takes/a.wav", "gone.wav"], 0),
        (["takes"], ["takes/a.wav", "takes/b.FLAC", "takes/x/c.wav", "takes/x/y/d.wav"], 6),
        (["takes/*"], ["takes/a.wav", "takes/b.FLAC"], 2),
        (["takes/*.wav"], ["takes/a.wav"], 1),
        (["takes/?.[wF]*"], ["takes/a.wav", "takes/b.FLAC"], 0),
        (["takes/**/*.wav"], ["takes/a.wav", "takes/x/c.wav", "takes/x/y/d.wav"], 2),
        (["**/?.wav"], ["outside/f.wav", "takes/a.wav", "takes/x/c.wav", "takes/x/y/d.wav"], 0),
        (["takes/x/**"], ["takes/x/c.wav", "takes/x/y/d.wav"], 3),
        (["tak*/**/y/*"], ["takes/x/y/d.wav"], 1),
        (["*/*/**/*.wav"], ["takes/x/c.wav", "takes/x/y/d.wav"], 0),
        (["takes[1].wav"], ["takes[1].wav"], 0),
        (["takes/x", "takes/a.wav"], ["takes/x/c.wav", "takes/x/y/d.wav", "takes/a.wav"], 3),
    ],
)
def test_what_an_argument_means(arguments, names, num_passed_over):
    found = find_audio(arguments)
    assert list(found.names) == names
    assert found.num_passed_over == num_passed_over


def test_a_whole_path_is_a_pattern_too(tmp_path):
    assert find_audio([f"{tmp_path}/takes/x/*/*.wav"]).names == (f"{tmp_path}/takes/x/y/d.wav",)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("empty", "A folder .* 'empty' has none in 1 files"),
        ("nothing", "A folder .* 'nothing' has no file"),
        ("*.flac", r"A pattern .* '\*\.flac' has no file"),
        ("takes/*.txt", r"A pattern .* has none in 1 files"),
        ("gone/**/*.wav", "A pattern .* has no file"),
    ],
)
def test_no_audio_is_one_line(argument, words):
    with pytest.raises(UserError) as error:
        find_audio(["takes/a.wav", argument])
    assert re.fullmatch(f"{words}.*", str(error.value))
