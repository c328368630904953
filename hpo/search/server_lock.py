"""The lock of all studies in a PostgreSQL database, and who holds it when it is not free."""

import time
from collections.abc import Callable

from sqlalchemy import Connection, text

KEY = "hashtext('wavenet-study')"
SECONDS_BETWEEN_TRIES = 0.1
SECONDS_BEFORE_SAYING = 5.0
_HOLDER = f"""
    SELECT activity.application_name, activity.client_addr, extract(epoch FROM now() - activity.xact_start)
    FROM pg_locks AS lock JOIN pg_stat_activity AS activity USING (pid)
    WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objid::bigint = ({KEY}::bigint & 4294967295)
"""


def wait_for_lock(connection: Connection, *, warn: Callable[[str], None]) -> None:
    """Takes the lock for this connection's session. `warn` gets one line where another process holds it for long."""
    begun, has_said = time.monotonic(), False
    while not connection.execute(text(f"SELECT pg_try_advisory_lock({KEY})")).scalar():
        connection.rollback()  # ends the transaction, which would otherwise look idle for as long as this waits
        if not has_said and time.monotonic() - begun > SECONDS_BEFORE_SAYING:
            warn(f"Waiting for the database's lock, which {_holder(connection)}.")
            has_said = True
        time.sleep(SECONDS_BETWEEN_TRIES)


def _holder(connection: Connection) -> str:
    row = connection.execute(text(_HOLDER)).first()
    connection.rollback()
    if row is None:
        return "was freed just now"
    name, address, seconds = row
    return f"{name or 'a process'} at {address or 'this machine'} has held for {float(seconds or 0):.0f} s"
