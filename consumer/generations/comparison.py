"""The comparison of a rebuilt generation with the one that is served."""

from typing import Any

import psycopg

from strandline.consumer.sinks.contract import Summary

Connection = psycopg.Connection[tuple[Any, ...]]

COUNT_ONLY_PARKED = """
    SELECT count(*) FROM (
        SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = %s
        EXCEPT SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = %s) AS found"""


def difference(connection: Connection, served: tuple[int, Summary], rebuilt: tuple[int, Summary]) -> str | None:
    """Describe the difference of two generations in counts; None if rows and parked documents are equal.

    Each is given as its number and its summary.
    """
    before, after = served[1], rebuilt[1]
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
