"""Whether two generations of one definition, at one position, are the same."""

from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]
Summary = tuple[int, int]  # rows, and a digest over all of them

COUNT_ONLY_PARKED = """
    SELECT count(*) FROM (
        SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = %s
        EXCEPT SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = %s) AS found"""


def difference(connection: Connection, served: tuple[int, Summary], rebuilt: tuple[int, Summary]) -> str | None:
    """What is not the same, in counts; None where rows and parked sets are equal. Each is a number with its summary."""
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
