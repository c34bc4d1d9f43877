"""The comparison of a rebuilt generation with the one that is served."""

from dataclasses import dataclass

from strandline.consumer.database.connection import Connection
from strandline.consumer.sinks.contract import Summary

# Distinct reasons to show of documents that park: a mistake in a projection has one, or a few.
REASONS = 3

COUNT_ONLY_PARKED = """
    SELECT count(*) FROM (
        SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = %s
        EXCEPT SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = %s) AS found"""
# Whatever its reason: a document that is parked in both generations is no worse in one of them.
READ_NEWLY_PARKED = """
    SELECT reason, count(*), sum(count(*)) OVER () FROM projection.parked new
    WHERE generation = %(rebuilt)s AND NOT EXISTS (
        SELECT FROM projection.parked old WHERE old.generation = %(served)s AND old.key = new.key)
    GROUP BY reason ORDER BY 2 DESC, 1 LIMIT %(most)s"""


@dataclass(frozen=True)
class Comparison:
    """The difference of a rebuilt generation from the one served before.

    `rows_before` is None if the one served cannot be read. `reasons` are the most frequent ones of the `newly_parked`
    documents, with their counts; they hold no payload. `difference` is of generations that one definition filled.
    """

    rows: int
    rows_before: int | None = None
    newly_parked: int = 0
    reasons: tuple[tuple[str, int], ...] = ()
    difference: str | None = None

    @property
    def worse(self) -> bool:
        """Return True if documents newly park, or rows are missing."""
        return self.newly_parked > 0 or (self.rows_before is not None and self.rows < self.rows_before)


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


def newly_parked(connection: Connection, served: int, rebuilt: int) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Return how many documents, or keys, are parked in the rebuilt generation alone, and the most frequent reasons."""
    parameters = {"served": served, "rebuilt": rebuilt, "most": REASONS}
    rows = connection.execute(READ_NEWLY_PARKED, parameters).fetchall()
    return int(rows[0][2]) if rows else 0, tuple((reason, count) for reason, count, _ in rows)


def _count(connection: Connection, one: int, other: int) -> int:
    (count,) = connection.execute(COUNT_ONLY_PARKED, [one, other]).fetchone() or (0,)
    return int(count)
