"""Folders from real computers: files that systems and programs leave behind are no recordings."""

import os
from pathlib import Path

import pytest

from core.data.recordings import BadRecording
from core.errors import UserError
from tests.folder_files import listed, table, write

LITTER = [
    *(".DS_Store", "normal/.DS_Store", "normal/._a.wav", "Thumbs.db", "normal/desktop.ini", "normal/Thumbs.db"),
    *("__MACOSX/normal/._a.wav", ".Trash-1000/normal/b.wav", "normal/.hidden.wav"),
]


def test_what_systems_leave_behind_is_counted_and_never_read(tmp_path):
    write(tmp_path / "data/normal/a.wav")
    for name in LITTER:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"\0\5\x16\7")
    corpus = listed(tmp_path / "data")
    assert [take.recording_id for take in corpus.recordings] == ["normal/a.wav"]
    (skipped,) = corpus.skipped
    assert skipped.reason == "8 files are hidden, such as '.DS_Store'"  # all but that in a hidden folder


@pytest.mark.parametrize(
    "name",
    [
        "normal/2024-01/Montag früh/x.wav",
        "normal/MOTOR 1.WAV",
        "Normal/x.Flac",
        "NORMAL/x (1).wav",
        "normal/x.wav/y.wav",
        "Prüfstand 3/gut/Lüfter [2].wav",
        "normal/- x; rm.wav",
    ],
)
def test_a_name_of_any_kind_is_a_recording_with_its_sound(tmp_path, name):
    write(tmp_path / "data" / name, **({"format": "FLAC"} if name.lower().endswith("flac") else {"format": "WAV"}))
    corpus = listed(tmp_path / "data")
    assert [(take.recording_id, take.label) for take in corpus.recordings] == [(name, "normal")]
    assert corpus.recordings[0].read().shape == (1, 4000)
    assert corpus.skipped == ()


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "aiff", "m4a"])
def test_a_file_of_no_bytes_is_one_line_or_left_out(tmp_path, suffix):
    write(tmp_path / "normal/a.wav")
    (tmp_path / f"normal/empty.{suffix}").touch()
    words = "a file of 0 bytes" if suffix != "m4a" else "0 bytes|ffmpeg is not installed"
    with pytest.raises(BadRecording, match=words):
        listed(tmp_path)
    corpus = listed(tmp_path, skip_bad_files=True)
    assert [skipped.name for skipped in corpus.skipped] == [f"normal/empty.{suffix}"]


@pytest.mark.parametrize("suffix", ["raw", "caf", "w64", "mp2"])
def test_audio_that_is_not_read_says_how_to_convert_it(tmp_path, suffix):
    write(tmp_path / "normal/a.wav")
    (tmp_path / f"normal/b.{suffix}").write_bytes(b"x")
    (skipped,) = listed(tmp_path).skipped
    assert "convert it to wav" in skipped.reason


def test_a_folder_that_may_not_be_read_is_one_line(tmp_path):
    write(tmp_path / "normal/a.wav")
    locked = tmp_path / "normal/locked"
    locked.mkdir(mode=0)
    if os.access(locked, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(UserError, match="'locked' must be readable"):
        listed(tmp_path)


def test_the_manifest_s_name_may_be_in_any_case_and_a_workbook_is_no_manifest(tmp_path):
    for name in ("normal/a.wav", "normal/b.wav"):
        write(tmp_path / name)
    (tmp_path / "Manifest.xlsx").write_bytes(b"PK\3\4")
    (skipped,) = listed(tmp_path).skipped
    assert skipped.reason == "'Manifest.xlsx' is a workbook; save it as manifest.csv to use it"
    table(tmp_path / "MANIFEST.CSV", "normal/a.wav,fan,OK")
    corpus = listed(tmp_path)
    assert [take.machine for take in corpus.recordings] == ["fan"]
    assert corpus.name == Path(tmp_path).name
