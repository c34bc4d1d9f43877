"""The lease on a generation: who may move its position.

A batch locks the generation's row from its first statement to its commit, so one projector writes at a time. The token
tells a projector that another has taken over since its last batch.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg

from strandline.consumer.database.connection import Connection
from strandline.consumer.sinks.contract import LeaseLost, StoreFailed

# How long the generation of a killed process waits for the next one.
SECONDS = 10
# The same if a batch writes outside the database: every request ends well before the lease does.
OUTSIDE_SECONDS = 30
MARGIN_SECONDS = 5
BUSY_SECONDS = 0.2

# A batch that takes longer than its lease keeps it: this waits for the batch's row lock, then checks the new expiry.
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
    """The lease on a generation, under the token that it was taken with."""

    generation: int
    token: int


def take(connection: Connection, generation: int) -> Lease | None:
    """Take the lease and commit; returns None while another projector has it."""
    owner = f"{socket.gethostname()}/{os.getpid()}"
    with connection.transaction():
        parameters = {"owner": owner, "generation": generation, "seconds": SECONDS}
        row = connection.execute(TAKE, parameters).fetchone()
    return Lease(generation, row[0]) if row else None


@contextmanager
def acquire(connection: Connection, generation: int) -> Iterator[Lease]:
    """Take the lease as soon as nobody else has it; release it at the end."""
    while (lease := take(connection, generation)) is None:
        time.sleep(BUSY_SECONDS)
    with release_after(connection, lease):
        yield lease


@contextmanager
def release_after(connection: Connection, lease: Lease) -> Iterator[None]:
    """Release the lease at the end. It expires by itself if the connection is broken, or if a request that was sent
    outside the database may be under way."""
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
    """Lock the generation's position until the transaction ends, and return it; raises `LeaseLost`."""
    row = connection.execute(HOLD, {"generation": lease.generation, "token": lease.token}).fetchone()
    if row is None:
        raise LeaseLost
    return int(row[0])


def move(connection: Connection, lease: Lease, position: int) -> None:
    """Move the position and renew the lease, in the transaction that writes the rows; raises `LeaseLost`."""
    parameters = {
        "position": position,
        "seconds": SECONDS,
        "generation": lease.generation,
        "token": lease.token,
    }
    if connection.execute(MOVE, parameters).rowcount != 1:
        raise LeaseLost


def renew(connection: Connection, lease: Lease, *, outside: bool = True) -> float:
    """Renew the lease and commit, for a batch that writes `outside` the database or not; raises `LeaseLost`.

    Returns the time, of the monotonic clock, by which every request outside must have ended.
    """
    deadline = time.monotonic() + OUTSIDE_SECONDS - MARGIN_SECONDS
    seconds = OUTSIDE_SECONDS if outside else SECONDS
    parameters = {"seconds": seconds, "generation": lease.generation, "token": lease.token}
    with connection.transaction():
        if connection.execute(RENEW, parameters).rowcount != 1:
            raise LeaseLost
    return deadline


def release(connection: Connection, lease: Lease) -> None:
    """Release the lease; a no-op if it has been lost."""
    with connection.transaction():
        connection.execute(RELEASE, {"generation": lease.generation, "token": lease.token})


READ_POSITION = "SELECT position FROM projection.generation WHERE generation = %s"
