"""Signals that wait while a file is locked: a lock that is a file must not be left half released."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_signals() -> Iterator[None]:
    """SIGINT and SIGTERM that arrive inside are handled at its end, each once. Signals that this process ignores, or
    that end it, stay as they are; threads other than the main one get none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    arrived: list[int] = []
    ours = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in ours:
        signal.signal(number, lambda which, _: arrived.append(which))
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        for arrival in dict.fromkeys(arrived):
            # Called and not raised again: hpo/terminal/interruption.py has counted the signal when it arrived.
            ours[signal.Signals(arrival)](arrival, None)
