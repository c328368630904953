"""Sources by their kind and by a bare path, and what is said of one that does not exist."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.sources import choose_source, open_source, with_kind
from tests.folder_files import noise, table, write
from tests.toyadmos_layout import write_tree


def test_a_path_is_the_folder(tmp_path, monkeypatch):
    for seed, name in enumerate(("normal/a", "NG/b")):
        write(tmp_path / f"my fan/{name}.wav", noise(seed=seed))
    monkeypatch.chdir(tmp_path)
    for spec in ("my fan", "./my fan", "my fan/", str(tmp_path / "my fan")):
        assert choose_source({}, spec, Path("/elsewhere"))["source"].startswith("folder:")
        assert len(open_source(spec).recordings) == 2
    table(tmp_path / "my fan/list.csv", "normal/a.wav,fan,normal")
    assert with_kind("my fan/list.csv") == "folder:my fan/list.csv"


def test_a_path_in_a_study_file_is_relative_to_the_project(tmp_path):
    write(tmp_path / "recordings/normal/a.wav")
    data = {"source": "recordings", "channels": "mix"}
    assert choose_source(data, None, tmp_path) == {"source": f"folder:{tmp_path}/recordings", "channels": "mix"}


@pytest.mark.parametrize("inside", ["", "ToyCar"])
def test_a_path_to_toyadmos_is_the_tree(tmp_path, inside):
    write_tree(tmp_path, num_normal=1, num_anomalous=1, seconds=0.2)
    assert with_kind(str(tmp_path / inside)) == f"toyadmos:{tmp_path / inside}"


def test_a_folder_that_is_toyadmos_says_so(tmp_path):
    write_tree(tmp_path, num_normal=1, num_anomalous=1, seconds=0.2)
    with pytest.raises(UserError, match=rf"Use toyadmos:{tmp_path}\."):
        open_source(f"folder:{tmp_path}")


def test_a_tree_that_is_another_folder_says_so(tmp_path):
    write(tmp_path / "normal/a.wav")
    with pytest.raises(UserError, match=rf"For any other folder use folder:{tmp_path}\."):
        open_source(f"toyadmos:{tmp_path}")


@pytest.mark.parametrize("name", ["simulated", "folder:", "hub:a/b"])
def test_a_kind_is_a_kind_even_where_a_folder_has_its_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "simulated").mkdir()
    if name == "folder:":
        with pytest.raises(UserError, match="Add the path after folder:"):
            with_kind(name)
    else:
        assert with_kind(name) == name


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("foler:x", "Did you mean folder:x?"),
        ("Folder:x", "Did you mean folder:x?"),
        ("toyadmos2:x", "Did you mean toyadmos:x?"),
        ("simulate", "Did you mean simulated?"),
        ("simulated:x", "Did you mean simulated?"),
        ("owner/name", "write hub:owner/name"),
        ("/no/such/place", "no such folder"),
        ("tape:reel", "Correct it."),
        ("hub:", "Add the path after hub:"),
        ("", "no such folder"),
    ],
)
def test_an_unknown_source_lists_the_kinds_and_what_was_meant(spec, words):
    for call in (
        open_source,
        lambda spec: choose_source({}, spec, Path()),
        lambda s: choose_source({"source": s}, None, Path()),
    ):
        with pytest.raises(UserError) as refusal:
            call(spec)
        message = str(refusal.value)
        assert words in message
        assert "simulated, folder:PATH, toyadmos:PATH, hub:OWNER/NAME" in message
        assert repr(spec) in message
