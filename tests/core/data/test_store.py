"""The store of decoded audio: it returns complete and matching audio, and touches only its own files."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import core.survey
from core.data import store as store_module
from core.data.audio import Waveform, quantise
from core.data.decoding import read_all
from core.data.recordings import Corpus, Recording
from core.data.store import Store
from core.errors import UserError
from core.store import main

ROOT = Path(__file__).resolve().parents[3]
RATE_HZ = 1000
NUM_SAMPLES = 2000
TAKE_BYTES = 2 * 2 * NUM_SAMPLES


def noise(seed: int = 0, num_samples: int = NUM_SAMPLES) -> Waveform:
    return np.random.default_rng(seed).standard_normal((2, num_samples)).astype(np.float32)


def recording(name: str = "a", seed: int = 0, read: Callable[[], Waveform] | None = None) -> Recording:
    return Recording(
        recording_id=name,
        machine="fan",
        label="normal",
        num_channels=2,
        sample_rate_hz=RATE_HZ,
        num_samples=NUM_SAMPLES,
        digest=f"digest of {name}",
        read=read or (lambda: noise(seed)),
    )


def prepare(store: Store, *recordings: Recording):
    corpus = Corpus(name="made", description="", recordings=recordings)
    return read_all(corpus, sample_rate_hz=RATE_HZ, min_seconds=0.1, skip_bad_files=False, store=store)


def never() -> Waveform:
    raise AssertionError("this must not be decoded")


def everything_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def in_another_process(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    header = (
        "import os, sys\nfrom pathlib import Path\nimport numpy as np\n"
        "from core.data.store import Store\nfrom tests.core.data.test_store import *\n"
    )
    command = [sys.executable, "-c", header + code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_was_added_is_found_by_every_store_in_that_folder(tmp_path):
    added = Store(tmp_path).add(recording(), RATE_HZ, noise())
    found = Store(tmp_path, is_read_only=True).find(recording(), RATE_HZ)
    assert found == added
    assert (found.num_channels, found.num_samples) == (2, NUM_SAMPLES)
    np.testing.assert_array_equal(found.read(), quantise(noise()).read())


def test_nothing_is_found_before_it_is_added(tmp_path):
    assert Store(tmp_path / "no folder yet").find(recording(), RATE_HZ) is None


@pytest.mark.parametrize("change", [{"digest": "another"}, {"num_channels": 1}])
def test_another_recording_is_not_found(tmp_path, change):
    store = Store(tmp_path)
    store.add(recording(), RATE_HZ, noise())
    assert store.find(replace(recording(), **change), RATE_HZ) is None


def test_another_rate_or_another_format_is_not_found(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.add(recording(), RATE_HZ, noise())
    assert store.find(recording(), RATE_HZ // 2) is None
    monkeypatch.setattr(store_module, "FORMAT", "audio-next")
    assert store.find(recording(), RATE_HZ) is None


@pytest.mark.parametrize(
    "change",
    [
        {"recording_id": "b"},
        {"label": "anomalous", "condition": "bent"},
        {"machine": "pump"},
        {"split": "test"},
        {"events": ((0.1, 0.2),)},
    ],
)
def test_changes_that_do_not_affect_the_audio_keep_the_entry(tmp_path, change):
    store = Store(tmp_path)
    store.add(recording(), RATE_HZ, noise())
    assert store.find(replace(recording(), **change), RATE_HZ) is not None


def random_bytes(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "without its last byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "cut in the header": lambda path: os.truncate(path, 20),
    "one byte too long": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "zeros, as after a power cut": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "random bytes": random_bytes,
    "text": lambda path: path.write_text("not audio"),
    "other names inside": lambda path: save_file({"weights": noise()}, path),
    "another shape inside": lambda path: save_file({"samples": noise()[0]}, path),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_entry_is_not_found_and_is_replaced(tmp_path, kind):
    store = Store(tmp_path)
    path = store.add(recording(), RATE_HZ, noise()).path
    DAMAGE[kind](path)
    assert store.find(recording(), RATE_HZ) is None
    (take,) = prepare(Store(tmp_path), recording()).takes
    np.testing.assert_array_equal(take.audio.read(), quantise(noise()).read())
    assert Store(tmp_path).find(recording(), RATE_HZ) is not None
    assert len(everything_below(tmp_path)) == 1


@pytest.mark.parametrize("kind", ["empty", "without its last byte", "gone"])
def test_an_entry_that_goes_bad_in_use_is_one_line(tmp_path, kind):
    audio = Store(tmp_path).add(recording(), RATE_HZ, noise())
    (DAMAGE | {"gone": Path.unlink})[kind](audio.path)
    with pytest.raises(UserError, match=r"^The store must keep [^\n]* Run the command again[^\n]*$"):
        audio.read(5, 10)


def test_threads_that_add_the_same_recording_at_once_leave_one_whole_file(tmp_path):
    store, barrier = Store(tmp_path), threading.Barrier(6)

    def add() -> None:
        barrier.wait()
        for _ in range(5):
            store.add(recording(), RATE_HZ, noise())
            np.testing.assert_array_equal(store.find(recording(), RATE_HZ).read(), quantise(noise()).read())

    errors: list[BaseException] = []

    def checked() -> None:
        try:
            add()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=checked) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(everything_below(tmp_path)) == 1


def test_a_process_that_adds_what_another_adds_leaves_one_whole_file(tmp_path):
    code = "for _ in range(100): Store(Path(sys.argv[1])).add(recording(), RATE_HZ, noise())"
    command = [sys.executable, "-c", f"import sys\nfrom tests.core.data.test_store import *\n{code}", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT) as other:
        while other.poll() is None:
            Store(tmp_path).add(recording(), RATE_HZ, noise())
            assert Store(tmp_path).used_bytes() >= TAKE_BYTES
            np.testing.assert_array_equal(Store(tmp_path).find(recording(), RATE_HZ).read(), quantise(noise()).read())
    assert other.returncode == 0
    assert len(everything_below(tmp_path)) == 1


@pytest.mark.parametrize("moment", ["replace", "fsync"])
def test_a_process_killed_in_mid_write_leaves_nothing_that_is_found_and_all_of_it_is_accounted_for(tmp_path, moment):
    code = (
        f"os.{moment} = lambda *_: os.kill(os.getpid(), 9)\nStore(Path(sys.argv[1])).add(recording(), RATE_HZ, noise())"
    )
    assert in_another_process(code, tmp_path).returncode == -9
    left = everything_below(tmp_path)
    store = Store(tmp_path)
    assert len(left) == 1
    assert store.find(recording(), RATE_HZ) is None
    assert {path.relative_to(tmp_path).as_posix() for path in store.files()} == left
    assert store.used_bytes() == sum((tmp_path / name).stat().st_size for name in left)
    prepare(store, recording())
    assert store.find(recording(), RATE_HZ) is not None
    store.empty()
    assert everything_below(tmp_path) == set()


def test_a_disk_that_is_full_is_one_line_and_leaves_nothing(tmp_path):
    code = (
        "import resource\nfrom core.errors import UserError\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({TAKE_BYTES // 2}, {TAKE_BYTES // 2}))\n"
        "try:\n    Store(Path(sys.argv[1])).add(recording(), RATE_HZ, noise())\n"
        "except UserError as error:\n    print(error)"
    )
    done = in_another_process(code, tmp_path)
    assert done.stdout.startswith("The store must be a folder that can be written, but")
    assert "File too large" in done.stdout
    assert done.stdout.count("\n") == 1
    assert everything_below(tmp_path) == set()


def test_a_full_store_is_refused_before_anything_is_decoded_with_both_figures(tmp_path):
    store = Store(tmp_path, max_gb=2.5 * TAKE_BYTES / 1e9)
    prepare(store, recording("a"), recording("b"))
    words = (
        r"^The store must stay within 2e-05 GB, but [^\n]* holds 1\.63e-05 GB and this needs 1\.6e-05 more\. [^\n]*$"
    )
    with pytest.raises(UserError, match=words):
        prepare(Store(tmp_path, max_gb=store.max_bytes / 1e9), recording("c", read=never), recording("d", read=never))
    assert len(prepare(store, recording("a", read=never), recording("b", read=never)).takes) == 2


def test_a_store_that_fills_up_on_the_way_is_refused_too(tmp_path):
    store = Store(tmp_path, max_gb=1.5 * TAKE_BYTES / 1e9)
    store.add(recording("a"), RATE_HZ, noise())
    repair = re.escape(f"empty the store with `python -m core.store --store {tmp_path} --empty`.")
    with pytest.raises(UserError, match=f"must stay within .* {repair}$"):
        store.add(recording("b"), RATE_HZ, noise())
    assert store.find(recording("b"), RATE_HZ) is None
    assert len(everything_below(tmp_path)) == 1


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/store"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, place):
    (tmp_path / "file").write_text("no folder")
    words = r"^The store must be a folder that can be written, but [^\n]* Choose another with --store[^\n]*$"
    with pytest.raises(UserError, match=words):
        prepare(Store(tmp_path / place), recording())


def test_a_store_that_is_read_only_writes_nothing_and_reads_what_is_there(tmp_path):
    prepare(Store(tmp_path), recording("a"))
    before = everything_below(tmp_path)
    reading = prepare(Store(tmp_path, is_read_only=True, max_gb=0), recording("a", read=never), recording("b", seed=1))
    np.testing.assert_array_equal(reading.takes[1].audio.read(), quantise(noise(1)).read())
    assert everything_below(tmp_path) == before
    prepare(Store(tmp_path / "new", is_read_only=True), recording("a"))
    assert not (tmp_path / "new").exists()


def test_others_may_read_what_is_stored_as_far_as_the_umask_lets_them(tmp_path):
    code = "os.umask(0o027); Store(Path(sys.argv[1])).add(recording(), RATE_HZ, noise())"
    assert in_another_process(code, tmp_path).returncode == 0
    (name,) = everything_below(tmp_path)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o640


def fill(folder: Path) -> Store:
    """A store with one file of each kind that it writes."""
    store = Store(folder)
    path = store.add(recording(), RATE_HZ, noise()).path
    path.with_name(f".123.456.{path.name}").write_bytes(b"left by a process that was killed")
    store.streams_directory.mkdir(exist_ok=True)
    (store.streams_directory / f"{'0' * 32}.json").write_text("[]")
    (store.streams_directory / f".12.{'0' * 32}.json").write_text("[")
    store.digests_file.write_text("{}")
    (folder / ".12.digests.json").write_text("{")
    return Store(folder)


STRANGERS = (
    "notes.txt",
    "settings.json",
    "model.safetensors",
    "streams/notes.json",
    f"streams/{'0' * 32}.txt",
    "my digests.json",
    "ab/model.safetensors",
    f"ab/cd{'0' * 30}.safetensors",  # not where the store would put it
    f"abc/{'ab' * 16}.safetensors",
    f"deep/ab/{'ab' * 16}.safetensors",
    "checkpoints/digests.json",
)


def test_emptying_removes_what_the_store_wrote_and_nothing_else(tmp_path):
    for name in STRANGERS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a stranger's")
    store = fill(tmp_path)
    sizes = {path: path.stat().st_size for path in store.files()}
    assert len(sizes) == 6 == len(everything_below(tmp_path)) - len(STRANGERS)
    assert store.used_bytes() == sum(sizes.values()) == store.empty()
    assert everything_below(tmp_path) == set(STRANGERS)
    assert store.used_bytes() == 0


def test_the_command_says_what_is_there_and_empties_it_when_told(tmp_path, capsys):
    fill(tmp_path)
    before = everything_below(tmp_path)
    assert main(["--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: 6 files, 8.18e-06 GB\n"
    assert everything_below(tmp_path) == before
    assert main(["--store", str(tmp_path), "--empty"]) == 0
    assert capsys.readouterr().out.endswith("\nemptied: 8.18e-06 GB\n")
    assert everything_below(tmp_path) == set()
    assert main(["--store", str(tmp_path / "never made"), "--empty"]) == 2, "a mistyped folder"


def test_the_command_says_in_one_line_that_files_must_not_be_removed(tmp_path, capsys, monkeypatch):
    fill(tmp_path)

    def refuse(path: Path, missing_ok: bool = False) -> None:  # noqa: ARG001 (root may remove anything)
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    assert main(["--store", str(tmp_path), "--empty"]) == 2
    assert capsys.readouterr().err.startswith("error: The store must be a folder that can be emptied, but ")


@pytest.mark.parametrize("command", [main, core.survey.main])
def test_arguments_that_cannot_be_right_are_one_line(command, capsys):
    assert command(["--zzz"]) == 2
    words = r"error: The command line must be right, but unrecognized arguments: --zzz\. See --help\.\n"
    assert re.fullmatch(words, capsys.readouterr().err)


def test_used_bytes_follow_what_is_added_and_are_those_of_the_files_headers_aside(tmp_path):
    store = Store(tmp_path)
    assert store.used_bytes() == 0
    for number in range(1, 4):
        store.add(recording(str(number)), RATE_HZ, noise())
        assert store.used_bytes() == number * TAKE_BYTES
        on_disk = sum((tmp_path / name).stat().st_size for name in everything_below(tmp_path))
        assert store.used_bytes() <= on_disk <= store.used_bytes() + 400 * number
        assert Store(tmp_path).used_bytes() == on_disk


def test_files_that_go_away_while_they_are_counted_or_removed_do_no_harm(tmp_path, monkeypatch):
    fill(tmp_path)
    listed = [*Store(tmp_path).files(), tmp_path / "renamed by another process"]
    monkeypatch.setattr(Store, "files", lambda _: iter(listed))
    assert Store(tmp_path).used_bytes() == sum(path.stat().st_size for path in listed[:-1])
    Store(tmp_path).empty()
    assert Store(tmp_path).used_bytes() == Store(tmp_path).empty() == 0
