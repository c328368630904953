"""A folder that was listed before is listed again without opening its files."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.data import digests
from core.data.recordings import BadRecording, Corpus
from core.data.store import Store
from core.sources import open_source, take_files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(digests, "RACY_NS", -1)  # caches what has just been written
    for number in range(3):
        write(tmp_path / "data" / "normal" / f"{number}.wav", num_samples=1000 + number)
    return tmp_path / "data"


def write(path: Path, *, num_samples: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(0).normal(size=(num_samples, 2)) / 10, 8000)


def listed(folder: Path) -> Corpus:
    corpus = open_source(f"folder:{folder}", store=Store(folder.parent / "store"))
    assert isinstance(corpus, Corpus)
    return corpus


def test_no_header_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = listed(folder)

    def not_again(path: Path, _: str) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(take_files, "read_header", not_again)
    assert listed(folder) == first
    assert [each.num_samples for each in first.recordings] == [1000, 1001, 1002]


def test_a_file_that_changed_is_read_again(folder: Path) -> None:
    listed(folder)
    write(folder / "normal" / "1.wav", num_samples=500)
    assert [each.num_samples for each in listed(folder).recordings] == [1000, 500, 1002]


def test_a_file_that_is_no_audio_is_refused_every_time(folder: Path) -> None:
    (folder / "normal" / "1.wav").write_bytes(b"no audio at all")
    for _ in range(2):
        with pytest.raises(BadRecording, match="must be audio"):
            listed(folder)
