"""The lease on a generation: who may move its position.

A batch holds the generation's row from its first statement to its commit, so one projector writes at a time; the token
tells a projector that another has taken over since its last batch.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from strandline.consumer.sinks.contract import LeaseLost, StoreFailed

Connection = psycopg.Connection[tuple[Any, ...]]

# How long a killed process's generation waits for the next one.
SECONDS = 10
# The same where a batch writes outside the database: whatever it sends has ended well before its lease does.
OUTSIDE_SECONDS = 30
MARGIN_SECONDS = 5
BUSY_SECONDS = 0.2

# A batch that takes longer than its lease keeps it: this waits for the batch's row, then looks at the new expiry.
TAKE = """
    UPDATE projection.generation
    SET owner = %(owner)s, token = token + 1, expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
    WHERE generation = %(generation)s AND (expires_at IS NULL OR expires_at < clock_timestamp())
    RETURNING token"""
HOLD = "SELECT position FROM projection.generation WHERE generation = %(generation)s AND token = %(token)s\
 FOR NO KEY UPDATE"
MOVE = """
    UPDATE projection.generation
    SET position = %(position)s, expires_at = clock_timestamp() + make_interval(secs => %(seconds)s),
        failed_at = NULL, failure = NULL
    WHERE generation = %(generation)s AND token = %(token)s AND position <= %(position)s"""
RENEW = """
    UPDATE projection.generation SET expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
    WHERE generation = %(generation)s AND token = %(token)s"""
RELEASE = """
    UPDATE projection.generation SET owner = NULL, expires_at = NULL
    WHERE generation = %(generation)s AND token = %(token)s"""


@dataclass(frozen=True)
class Lease:
    generation: int
    token: int


def take(connection: Connection, generation: int) -> Lease | None:
    """The lease, committed; None while another projector has it."""
    owner = f"{socket.gethostname()}/{os.getpid()}"
    with connection.transaction():
        parameters = {"owner": owner, "generation": generation, "seconds": SECONDS}
        row = connection.execute(TAKE, parameters).fetchone()
    return Lease(generation, row[0]) if row else None


@contextmanager
def taken(connection: Connection, generation: int) -> Iterator[Lease]:
    """Wait until nobody else has the lease; it is given back at the end."""
    while (lease := take(connection, generation)) is None:
        time.sleep(BUSY_SECONDS)
    with giving_back(connection, lease):
        yield lease


@contextmanager
def giving_back(connection: Connection, lease: Lease) -> Iterator[None]:
    """Give the lease back at the end; it runs out by itself where the connection is broken, or where something that was
    sent outside may still be under way."""
    unanswered = False
    try:
        yield
    except StoreFailed as exc:
        unanswered = exc.unanswered
        raise
    finally:
        if not unanswered:
            with suppress(psycopg.Error):
                release(connection, lease)


def hold(connection: Connection, lease: Lease) -> int:
    """The generation's position, which cannot move until this transaction ends; raises `LeaseLost`."""
    row = connection.execute(HOLD, {"generation": lease.generation, "token": lease.token}).fetchone()
    if row is None:
        raise LeaseLost
    return int(row[0])


def move(connection: Connection, lease: Lease, position: int) -> None:
    """Move the position and renew the lease, in the transaction of the rows; raises `LeaseLost`."""
    parameters = {
        "position": position,
        "seconds": SECONDS,
        "generation": lease.generation,
        "token": lease.token,
    }
    if connection.execute(MOVE, parameters).rowcount != 1:
        raise LeaseLost


def renew(connection: Connection, lease: Lease) -> float:
    """Renew the lease, committed, for a batch that writes outside the database; raises `LeaseLost`.

    Gives the time, of the monotonic clock, by which all that is sent must have ended.
    """
    deadline = time.monotonic() + OUTSIDE_SECONDS - MARGIN_SECONDS
    parameters = {"seconds": OUTSIDE_SECONDS, "generation": lease.generation, "token": lease.token}
    with connection.transaction():
        if connection.execute(RENEW, parameters).rowcount != 1:
            raise LeaseLost
    return deadline


def release(connection: Connection, lease: Lease) -> None:
    """Let the next projector have it at once; nothing where it is lost already."""
    with connection.transaction():
        connection.execute(RELEASE, {"generation": lease.generation, "token": lease.token})


READ_POSITION = "SELECT position FROM projection.generation WHERE generation = %s"
