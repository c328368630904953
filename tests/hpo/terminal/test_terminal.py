"""The command in a terminal, as a person sees it: bars, Ctrl-C, and a study that is resumed."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

from tests.hpo.studies import SECONDS, wait_for

WINDOW = struct.pack("HHHH", 40, 80, 0, 0)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A process with a terminal of 80 columns, and all that it has written there."""

    def __init__(self, project: Path, *arguments: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, WINDOW)
        environment = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE")}
        self.process = subprocess.Popen(
            [sys.executable, "hpo/run_study.py", "--study", "studies/tiny.toml", "--threads", "1", *arguments],
            cwd=project,
            env={**environment, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._written = b""
        self._thread = threading.Thread(target=self._read, args=(ours,))
        self._thread.start()

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self._written.decode(errors="replace"))

    def _read(self, descriptor: int) -> None:
        try:
            while part := os.read(descriptor, 65536):
                self._written += part
        except OSError:  # the last process that has the terminal has ended
            pass
        os.close(descriptor)

    def wait(self) -> int:
        code = self.process.wait(SECONDS)
        self._thread.join(SECONDS)
        return code


def test_bars_ctrl_c_and_what_is_shown_of_an_earlier_call(project: Path) -> None:
    first = Terminal(project, "--trials", "40")
    wait_for(lambda: bool(re.search(r"1/40 +best expected F1", first.text)), "first ended trial")
    assert "Measuring a trial" in first.text
    assert re.search(r"trials +\S+ +0/40 +0:00:\d\d +\d:\d\d:\d\d left", first.text), "time left from the start"
    assert re.search(r"trial 00 +\S+ +1/3 +val AUC 0\.\d{3}", first.text)
    pressed = time.monotonic()
    first.process.send_signal(signal.SIGINT)
    wait_for(lambda: "Stopping after" in first.text, "answer")
    assert time.monotonic() - pressed < 2
    assert first.wait() == 130
    assert re.search(r"Interrupted after \d+ of 40 trials\. The same command resumes the study\.", first.text)
    assert "Traceback" not in first.text

    resumed = Terminal(project, "--trials", "40")
    wait_for(lambda: "left" in resumed.text, "bars")
    assert re.search(r"resumed +\d+ of 40 trials have ended, best expected F1", resumed.text)
    bars = resumed.text[resumed.text.index("estimate") :]
    assert re.search(r"trials +\S+ +\d+/40 +best expected F1 0\.\d{3} \(trial \d+\)", bars), "in the first picture"
    for _ in range(2):
        resumed.process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    assert resumed.wait() == 130
    assert "Traceback" not in resumed.text
