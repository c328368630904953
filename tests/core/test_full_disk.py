"""A full disk is recognised in what each library raises, and leaves no half file."""

import errno
import subprocess
import sys
from pathlib import Path

from core.errors import UserError
from core.full_disk import full_disk_error, is_disk_full

ROOT = Path(__file__).resolve().parents[2]
WRITERS = {
    "tensors": "write_tensors(folder / 'a', {'x': torch.zeros(100_000)}, {})",
    "text": "write_text(folder / 'a', 'x' * 100_000)",
    "numpy": "np.savez(folder / 'numpy.npz', x=np.zeros(100_000))",
    "events": "RunLog(folder / 'events.jsonl').tags({'x': 'y' * 100_000})",
}
SCRIPT = """
import resource, sys
from pathlib import Path
import numpy as np, torch
from core.full_disk import is_disk_full
from core.model.tensor_file import write_tensors
from core.whole_file import write_text
from hpo.tracking.run_log import RunLog

folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for statement in sys.argv[2:]:
    try:
        exec(statement)
        print("written")
    except Exception as error:
        print(is_disk_full(error), repr(error))
"""


def test_it_is_recognised_whatever_writes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), *WRITERS.values()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["True"] * len(WRITERS), done.stdout
    names = {path.name for path in tmp_path.iterdir()}
    assert names <= {"numpy.npz", "events.jsonl"}, "half a file takes room"


def test_it_is_recognised_in_the_words_of_a_database() -> None:
    assert is_disk_full(RuntimeError("(sqlite3.OperationalError) database or disk is full"))


def test_it_is_recognised_as_a_cause_and_other_errors_are_not() -> None:
    wrapped = RuntimeError("the storage failed")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert is_disk_full(wrapped)
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))
    assert not is_disk_full(ValueError("3"))


def test_the_line_names_the_folder_of_the_file(tmp_path: Path) -> None:
    error = full_disk_error(OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "a/b.txt")), [])
    assert isinstance(error, UserError)
    assert f"the disk of {tmp_path}/a is full" in str(error)
    unnamed = full_disk_error(OSError(errno.ENOSPC, "No space left on device"), [tmp_path, tmp_path / "none"])
    assert f"the disk of {tmp_path} is full" in str(unnamed)
