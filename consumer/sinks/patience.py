"""Locks that readers hold against a change, and how long to wait for them."""

import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import errors

from strandline.journal.errors import StrandlineError

# A lock that waits makes every later reader wait behind it: so it waits for a moment only, and tries again.
LOCK_MILLISECONDS = 100
PAUSE_SECONDS = 0.3
PATIENCE_SECONDS = 60.0

SET_LOCK_TIMEOUT = f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}"


class ReadersInTheWay(StrandlineError):
    """Readers had a lock for all of the time."""


def with_patience(
    connection: psycopg.Connection[tuple[Any, ...]], act: Callable[[], object], what: str, seconds: float | None = None
) -> None:
    """Do what needs a lock that readers hold, waiting a moment for it again and again for so many seconds.

    Raises `ReadersInTheWay`, which names `what`; then nothing has changed.
    """
    seconds = PATIENCE_SECONDS if seconds is None else seconds
    deadline = time.monotonic() + seconds
    while True:
        try:
            with connection.transaction():
                connection.execute(SET_LOCK_TIMEOUT)
                act()
                connection.execute("SET LOCAL lock_timeout TO DEFAULT")
            return
        except errors.LockNotAvailable:
            if time.monotonic() > deadline:
                raise ReadersInTheWay(
                    f"{what} was in use for {seconds:.0f} seconds; nothing was changed.\n"
                    "End the queries that use it (see pg_stat_activity), then run the command again."
                ) from None
        time.sleep(PAUSE_SECONDS)
