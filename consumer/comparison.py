"""Whether two generations of one definition, at one position, are the same."""

from typing import Any

import psycopg

from consumer.sinks.postgresql import PostgresqlSink

Connection = psycopg.Connection[tuple[Any, ...]]

COUNT_ONLY_PARKED = """
    SELECT count(*) FROM (
        SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = %s
        EXCEPT SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = %s) AS found"""


def difference(
    connection: Connection, served: tuple[int, PostgresqlSink], rebuilt: tuple[int, PostgresqlSink]
) -> str | None:
    """What is not the same, in counts; None where rows and parked sets are equal. Each is a number with its sink."""
    before, after = served[1].summary(), rebuilt[1].summary()
    found = []
    if before[0] != after[0]:
        found.append(f"{before[0]:,} rows served, {after[0]:,} rebuilt")
    elif before != after:
        found.append(f"{after[0]:,} rows in both, but with other contents")
    gone = _count(connection, served[0], rebuilt[0])
    new = _count(connection, rebuilt[0], served[0])
    if gone or new:
        found.append(f"parked: {gone:,} only in the one served, {new:,} only in the rebuilt one")
    return "; ".join(found) or None


def _count(connection: Connection, one: int, other: int) -> int:
    (count,) = connection.execute(COUNT_ONLY_PARKED, [one, other]).fetchone() or (0,)
    return int(count)
