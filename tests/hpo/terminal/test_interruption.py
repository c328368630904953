"""Ctrl-C is answered at once, while the main thread is busy too; a second one ends the process at once and silently."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BUSY = """
import hashlib, signal, threading, time
from hpo.terminal.interruption import InterruptionNotice
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    with InterruptionNotice(lambda: print("stopping", flush=True)) as notice:
        notice.before_end(lambda: print("ending", flush=True))
        threading.Timer(0.5, lambda: print("busy", flush=True)).start()  # when the main thread is in the C code
        hashlib.pbkdf2_hmac("sha512", b"", b"", {rounds})  # C code: Python's handlers wait for its end
        time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
FOR_SECONDS, FOR_A_MOMENT = 100_000_000, 1_000


def busy(rounds: int) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY.replace("{rounds}", str(rounds))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "busy\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_answered_while_the_main_thread_is_busy_and_the_second_ends_it(number: signal.Signals) -> None:
    process = busy(FOR_SECONDS)
    process.send_signal(number)
    assert process.stdout is not None
    assert process.stdout.readline() == "stopping\n"
    started = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, "ending\n", "")
    assert time.monotonic() - started < 5


def test_after_the_first_the_command_ends_by_its_own_ways() -> None:
    process = busy(FOR_A_MOMENT)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, sorted(out.split()), err) == (0, ["interrupted", "stopping"], "")
