"""The journal after a full disk, a power cut or a crash: it opens, keeps every whole record, and is never appended to a
torn one."""

import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import JournalStorage

from hpo.search.journal import RepairingJournal

ROOT = Path(__file__).resolve().parents[3]


def opened(path: Path, warnings: list[str] | None = None) -> optuna.Study:
    lines: list[str] = [] if warnings is None else warnings
    storage = JournalStorage(RepairingJournal(path, warn=lines.append))
    return optuna.create_study(study_name="study", storage=storage, load_if_exists=True)


def with_trials(path: Path, count: int) -> bytes:
    study = opened(path)
    for number in range(count):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, number)
    return path.read_bytes()


def values(study: optuna.Study) -> list[float | None]:
    return [trial.value for trial in study.get_trials(deepcopy=False)]


def test_a_sound_journal_is_left_as_it_is(tmp_path: Path) -> None:
    path, warnings = tmp_path / "j", []
    before = with_trials(path, 2)
    opened(path, warnings)
    assert path.read_bytes().startswith(before)
    assert warnings == []
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["cut", "nul bytes", "half a record", "a line of rubbish"])
def test_a_torn_end_is_put_aside_and_the_study_resumes(tmp_path: Path, damage: str) -> None:
    path, warnings = tmp_path / "j", []
    sound = with_trials(path, 3)
    last = sound[:-1].rfind(b"\n") + 1
    torn = {
        "cut": sound[:-20],
        "nul bytes": sound + b"\0" * 4096,
        "half a record": sound + b'{"op_code":4,"worker_id":"ab',
        "a line of rubbish": sound + b"\xff\xfe\n",
    }[damage]
    path.write_bytes(torn)
    study = opened(path, warnings)
    assert values(study) == ([0.0, 1.0, None] if damage == "cut" else [0.0, 1.0, 2.0])
    study.tell(study.ask(), 7.0)
    assert values(opened(path))[-1] == 7.0
    (line,) = warnings
    assert "\n" not in line
    (aside,) = tmp_path.glob("j.torn-*")
    assert aside.read_bytes() == torn[last if damage == "cut" else len(sound) :]
    assert aside.name in line


@given(share=st.floats(0, 1))
def test_wherever_the_journal_is_cut_it_opens_with_the_whole_records_before_the_cut(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    path = tmp_path_factory.mktemp("cut") / "j"
    sound = with_trials(path, 2)
    end = int(share * len(sound))
    path.write_bytes(sound[:end])
    RepairingJournal(path, warn=lambda _: None)
    repaired = path.read_bytes()
    whole = sound[: sound[:end].rfind(b"\n") + 1]
    assert repaired in (whole, sound[:end], sound[:end] + b"\n")
    assert not repaired or repaired.endswith(b"\n")


def test_a_record_that_was_appended_to_a_torn_one_is_kept_in_its_place(tmp_path: Path) -> None:
    """What an earlier version left: nothing opened such a journal any more."""
    path, warnings = tmp_path / "j", []
    sound = with_trials(path, 3)
    lines = sound.splitlines(keepends=True)
    torn = b'{"op_code":8,"worker_id":"x","trial_'
    path.write_bytes(b"".join(lines[:-1]) + torn + lines[-1])
    study = opened(path, warnings)
    assert values(study) == [0.0, 1.0, 2.0]
    assert len(warnings) == 1
    assert path.read_bytes().startswith(b"".join(lines[:-1]) + b" " * len(torn) + lines[-1])


def test_nothing_is_appended_to_what_another_process_tore(tmp_path: Path) -> None:
    path, warnings = tmp_path / "j", []
    with_trials(path, 1)
    study = opened(path, warnings)
    with path.open("ab") as file:
        file.write(b'{"op_code":6,"wor')
    study.tell(study.ask(), 5.0)
    assert values(opened(path)) == [0.0, 5.0]
    assert len(warnings) == 1


def test_a_disk_that_fills_leaves_whole_records_alone(tmp_path: Path) -> None:
    """A limit on the file's size stands for the full disk: the kernel writes a part and then refuses."""
    path = tmp_path / "j"
    size = len(with_trials(path, 1))
    code = (
        "import signal, resource, sys; from pathlib import Path\n"
        "from hpo.search.journal import RepairingJournal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 100}, {size + 100}))\n"
        "journal = RepairingJournal(Path(sys.argv[1]), warn=print)\n"
        "journal.append_logs([{'op_code': 8, 'worker_id': 'x', 'value': 'y' * 300}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "OSError: [Errno 27]" in done.stderr
    assert path.stat().st_size == size
    assert values(opened(path)) == [0.0]
