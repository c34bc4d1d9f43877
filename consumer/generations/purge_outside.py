"""As `consumer/frozen.py`, for generations in a store outside the database: what is recorded as sent there says which
rows come from what is redacted."""

from typing import Any

import psycopg

from strandline.consumer.generations.purge_by_source import FORGET_KEYS, MOVE, READ_ERASED
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.projector import feed, lease
from strandline.consumer.sinks.contract import ExternalSink, Turn

Connection = psycopg.Connection[tuple[Any, ...]]

READ_UNFILLED = """
    SELECT generation, relation FROM projection.generation
    WHERE projection = %s AND fingerprint <> %s AND state <> 'building' AND store <> 'postgresql'
      AND clean_no < (SELECT sequence_no FROM journal.mark)
    ORDER BY generation"""
READ_POSITIONS = "SELECT position, clean_no FROM projection.generation WHERE generation = %s"


def purge(connection: Connection, projection: Projection, stores: Stores) -> None:
    """Purge, up to the mark, those of the projection's generations that another definition filled."""
    with connection.transaction():
        unfilled = connection.execute(READ_UNFILLED, [projection.name, fingerprint(projection)]).fetchall()
    for number, relation in unfilled:
        sink = stores.sink(connection, projection, number, relation)
        assert isinstance(sink, ExternalSink)
        with lease.taken(connection, number) as held:
            deadline = lease.renew(connection, held)
            with connection.transaction():
                lease.hold(connection, held)
                last = feed.read_mark(connection)
                sink.begin(Turn(held.token, lambda last=last: last, deadline))  # type: ignore[misc]
                _purge(connection, number, sink, last)
                sink.settle()
                connection.execute(MOVE, [last, number])


def _purge(connection: Connection, number: int, sink: ExternalSink, last: int) -> None:
    position, after = connection.execute(READ_POSITIONS, [number]).fetchone() or (0, 0)
    erased = connection.execute(READ_ERASED, {"after": after, "last": last, "position": position}).fetchall()
    # What a batch that came to nothing has written of a composed key, nobody knows.
    keys = sink.unsettled()
    if erased:
        sink.purge(erased)
        documents, versions = [list(part) for part in zip(*erased, strict=True)]
        parameters = {"generation": number, "documents": documents, "versions": versions}
        keys |= {key for (key,) in connection.execute(FORGET_KEYS, parameters)}
    # Its rows go whole: there is no code to make them anew.
    if keys:
        sink.purge_keys(keys)
