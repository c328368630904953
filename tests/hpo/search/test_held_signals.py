"""Signals that arrive while a journal is locked: the lock is released first."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.search import journal
from hpo.search.held_signals import SIGNALS, held_signals
from hpo.search.journal import RepairingJournal


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_inside_is_handled_once_at_the_end(number: signal.Signals) -> None:
    steps = []

    def inside() -> None:
        with held_signals():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            steps.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        inside()
    assert steps == ["the rest of the block"]
    assert signal.getsignal(number) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_signals():
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_signal_in_the_middle_of_an_append_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna's lock is a file that is renamed and then removed."""
    backend = RepairingJournal(tmp_path / "optuna.journal", warn=print)
    unlink = os.unlink

    def interrupted_unlink(*arguments: Any, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        unlink(*arguments, **options)

    monkeypatch.setattr(journal.os, "unlink", interrupted_unlink)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        backend.append_logs([{"op_code": 0}])
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["optuna.journal"]
    assert list(backend.read_logs(0)) == [{"op_code": 0}]
