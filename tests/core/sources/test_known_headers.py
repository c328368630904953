"""A folder that was listed before is listed again without opening its files."""

import json
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


@pytest.mark.parametrize(
    "damage", [5, "abc", [1], None, {}, {"num_channels": 2}, {"num_channels": "2"}, {"num_samples": -1}, {"more": 1}]
)
def test_a_damaged_memory_of_headers_costs_a_reading_and_nothing_else(folder: Path, damage: object) -> None:
    first, (memory,) = listed(folder), list((folder.parent / "store").glob("*digests*"))
    known = json.loads(memory.read_text())
    for facts in known.values():
        header = facts[-1][take_files.HEADER_VERSION]
        is_change = isinstance(damage, dict) and damage and damage != {"num_channels": 2}
        facts[-1][take_files.HEADER_VERSION] = {**header, **damage} if is_change else damage  # type: ignore[dict-item]
    memory.write_text(json.dumps(known))
    assert listed(folder) == first


def test_a_digest_that_is_no_text_is_computed_again(folder: Path) -> None:
    first, (memory,) = listed(folder), list((folder.parent / "store").glob("*digests*"))
    known = json.loads(memory.read_text())
    for facts in known.values():
        facts[-2] = None
    memory.write_text(json.dumps(known))
    assert listed(folder) == first
