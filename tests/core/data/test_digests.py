"""Cached digests: a changed file gets a new one, and an unchanged file is read once."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.data import digests
from core.data.digests import CachedDigests, digest_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches digests of files that have just changed."""
    monkeypatch.setattr(digests, "RACY_NS", -1)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read for their digest."""
    read: list[Path] = []

    def noted(path: Path) -> str:
        read.append(path)
        return digest_of(path)

    monkeypatch.setattr(digests, "digest_of", noted)
    return read


def write(path: Path, content: bytes = b"some bytes") -> Path:
    path.write_bytes(content)
    return path


def fresh(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@pytest.mark.usefixtures("_settled")
def test_an_unchanged_file_is_read_once_by_all_who_share_the_memory(tmp_path, readings):
    path, memory = write(tmp_path / "ä b.wav"), tmp_path / "new" / "memory.json"
    first = CachedDigests(memory)
    assert first(path) == first(path) == fresh(path)
    first.save()
    assert CachedDigests(memory)(path) == fresh(path)
    assert readings == [path]


@pytest.mark.usefixtures("_settled")
def test_a_file_is_the_same_by_whatever_path_it_is_reached(tmp_path, readings, monkeypatch):
    path = write(tmp_path / "a.wav")
    (tmp_path / "link.wav").symlink_to(path)
    remembered = CachedDigests(tmp_path / "memory.json")
    monkeypatch.chdir(tmp_path)
    assert remembered(path) == remembered(tmp_path / "link.wav") == remembered(Path("a.wav"))
    assert len(readings) == 1


class Reader:
    """Reads a header: the file's length. Counts how often."""

    def __init__(self, path: Path) -> None:
        self.path, self.num_readings = path, 0

    def __call__(self) -> dict[str, int]:
        self.num_readings += 1
        return {"length": self.path.stat().st_size}


@pytest.mark.usefixtures("_settled")
def test_a_header_is_read_once_by_all_who_share_the_memory(tmp_path):
    path, memory = write(tmp_path / "a.wav"), tmp_path / "memory.json"
    read, first = Reader(path), CachedDigests(memory)
    digest = first(path)
    assert (
        first.header(path, read, version="1", fields=["length"])
        == first.header(path, read, version="1", fields=["length"])
        == {"length": 10}
    )
    first.save()
    again = CachedDigests(memory)
    assert (again(path), again.header(path, read, version="1", fields=["length"])) == (digest, {"length": 10})
    assert read.num_readings == 1


@pytest.mark.usefixtures("_settled")
def test_a_header_of_another_version_or_without_a_digest_is_read_again(tmp_path):
    path = write(tmp_path / "a.wav")
    read, remembered = Reader(path), CachedDigests(tmp_path / "memory.json")
    assert (
        remembered.header(path, read, version="1", fields=["length"])
        == remembered.header(path, read, version="1", fields=["length"])
        == {"length": 10}
    )
    assert read.num_readings == 2
    remembered(path)
    for version in ("1", "2"):
        assert remembered.header(path, read, version=version, fields=["length"]) == {"length": 10}
    assert read.num_readings == 4


def test_the_header_of_a_file_that_changed_just_now_is_not_remembered(tmp_path):
    path = write(tmp_path / "a.wav")
    read, remembered = Reader(path), CachedDigests(tmp_path / "memory.json")
    for _ in range(2):
        remembered(path)
        remembered.header(path, read, version="1", fields=["length"])
    assert read.num_readings == 2


def change_in_place(path: Path) -> None:
    path.write_bytes(b"some bytEs")


def change_and_put_the_time_back(path: Path) -> None:
    times = path.stat()
    change_in_place(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def exchange_with_the_same_time(path: Path) -> None:
    times = path.stat()
    other = write(path.with_name("other"), b"some bytEs")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(other, path)


def lengthen(path: Path) -> None:
    path.write_bytes(b"some bytes more")


def lead_the_link_elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to(write(path.with_name("other"), b"some bytEs"))


CHANGES = [
    change_in_place,
    change_and_put_the_time_back,
    exchange_with_the_same_time,
    lengthen,
    lead_the_link_elsewhere,
]


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_has_its_new_digest(tmp_path, change):
    path, memory = write(tmp_path / "a.wav"), tmp_path / "memory.json"
    remembered = CachedDigests(memory)
    before = remembered(path)
    remembered.save()
    time.sleep(0.02)  # clocks of file systems tick every few milliseconds
    change(path)
    assert before != CachedDigests(memory)(path) == remembered(path) == fresh(path)


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_has_its_new_header(tmp_path, change):
    path = write(tmp_path / "a.wav")
    remembered = CachedDigests(tmp_path / "memory.json")
    remembered(path)
    remembered.header(path, lambda: {"length": 1}, version="1", fields=["length"])
    time.sleep(0.02)
    change(path)
    assert remembered.header(path, lambda: {"length": 2}, version="1", fields=["length"]) == {"length": 2}


@pytest.mark.parametrize("put_back", [False, True])
def test_a_file_that_changed_just_now_is_not_remembered(tmp_path, readings, put_back):
    path, memory = write(tmp_path / "a.wav"), tmp_path / "memory.json"
    if put_back:
        os.utime(path, (0, 0))
    remembered = CachedDigests(memory)
    assert remembered(path) == remembered(path) == fresh(path)
    remembered.save()
    assert len(readings) == 2
    assert not memory.exists()


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "",
        lambda text: text[: len(text) // 2],
        lambda text: text + "}",
        lambda _: "[1, 2]",
        lambda _: "null",
        lambda text: json.dumps(dict.fromkeys(json.loads(text), 5)),
        lambda text: json.dumps({path: [] for path in json.loads(text)}),
        lambda text: json.dumps({path: known[:-1] for path, known in json.loads(text).items()}),
        lambda text: json.dumps(dict.fromkeys(json.loads(text), "0123456789abcdef")),
        lambda _: "\udcff\udcfe",
    ],
)
def test_a_torn_memory_costs_a_reading_and_nothing_else(tmp_path, readings, damage):
    path, memory = write(tmp_path / "a.wav"), tmp_path / "memory.json"
    remembered = CachedDigests(memory)
    remembered(path)
    remembered.save()
    memory.write_bytes(damage(memory.read_text()).encode(errors="surrogateescape"))
    again = CachedDigests(memory)
    assert again(path) == fresh(path)
    again.save()
    assert CachedDigests(memory)(path) == fresh(path)
    assert len(readings) == 2


@pytest.mark.usefixtures("_settled")
def test_a_process_killed_while_it_saves_leaves_the_old_memory_whole(tmp_path):
    old, memory = write(tmp_path / "old.wav"), tmp_path / "memory.json"
    remembered = CachedDigests(memory)
    remembered(old)
    remembered.save()
    before = memory.read_bytes()
    code = (
        "import os, sys; from pathlib import Path; from core.data import digests\n"
        "digests.RACY_NS = -1\nos.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "remembered = digests.CachedDigests(Path(sys.argv[1])); remembered(Path(sys.argv[2])); remembered.save()"
    )
    command = [sys.executable, "-c", code, str(memory), str(write(tmp_path / "new.wav", b"new"))]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    assert memory.read_bytes() == before


@pytest.mark.usefixtures("_settled")
def test_nothing_is_written_where_nothing_was_learned(tmp_path):
    path, memory = write(tmp_path / "a.wav"), tmp_path / "memory.json"
    CachedDigests(memory).save()
    assert not memory.exists()
    remembered = CachedDigests(memory)
    remembered(path)
    remembered.save()
    memory.unlink()
    remembered(path)
    remembered.save()
    assert not memory.exists()


@pytest.mark.usefixtures("_settled")
def test_a_memory_that_cannot_be_written_leaves_no_scratch(tmp_path):
    path, memory = write(tmp_path / "a.wav"), tmp_path / "memory.json"
    memory.mkdir()
    remembered = CachedDigests(memory)
    assert remembered(path) == fresh(path)
    with pytest.raises(OSError, match="directory"):
        remembered.save()
    assert {p.name for p in tmp_path.iterdir()} == {"a.wav", "memory.json"}


def test_a_file_that_is_gone_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        CachedDigests(tmp_path / "memory.json")(tmp_path / "gone.wav")
