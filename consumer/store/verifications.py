"""Keeps which blocks of the store were verified when, so that a later verification may begin above them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from strandline.consumer.database.connection import Connection
from strandline.journal.check.block import Fault

NOW = "SELECT clock_timestamp()"
# One row for each verification: the time at which it began, since what changed later may not have been seen.
ADD = """
    INSERT INTO journal.verification (first_no, last_no, block_hash, level, began_at)
    SELECT %(first)s, b.sequence_no, b.block_hash, %(level)s, %(began)s
    FROM journal.block b WHERE b.sequence_no = %(last)s"""
READ = """
    SELECT first_no, last_no, level, began_at, verified_by FROM journal.verification
    WHERE first_no < %s ORDER BY began_at DESC, id DESC"""
READ_LAST = """
    SELECT first_no, last_no, level, began_at, verified_by FROM journal.verification
    ORDER BY last_no DESC, began_at DESC LIMIT 1"""
CHANGED = """
    SELECT v.last_no, v.began_at FROM journal.verification v
    WHERE NOT EXISTS (
        SELECT FROM journal.block b WHERE b.sequence_no = v.last_no AND b.block_hash = v.block_hash)
    ORDER BY v.last_no LIMIT 1000"""


@dataclass(frozen=True)
class StoreVerification:
    """A verification of the store that held, from block `first_no` to `last_no`; it began at `began_at`."""

    first_no: int
    last_no: int
    level: str
    began_at: datetime
    verified_by: str

    def as_dict(self) -> dict[str, object]:
        """Return it in the form of `--json`."""
        return {
            "first": self.first_no,
            "last": self.last_no,
            "level": self.level,
            "verified_at": self.began_at.isoformat(),
            "verified_by": self.verified_by,
        }


@dataclass(frozen=True)
class Earlier:
    """Blocks that are not verified now; `verified_at` is when they last were, None if no verification is known.

    Several verifications may have covered them: then it is the earliest of their times.
    """

    first_no: int
    last_no: int
    verified_at: datetime | None

    def as_dict(self) -> dict[str, object]:
        """Return it in the form of `--json`."""
        at = None if self.verified_at is None else self.verified_at.isoformat()
        return {"first": self.first_no, "last": self.last_no, "verified_at": at}


def read_clock(connection: Connection) -> datetime:
    """Return the database's time, by which verifications are recorded."""
    (now,) = connection.execute(NOW).fetchone() or ()
    assert isinstance(now, datetime)
    return now


def add_verification(connection: Connection, first_no: int, last_no: int, level: str, began_at: datetime) -> None:
    """Record a verification that held, in a transaction of its own."""
    with connection.transaction():
        connection.execute(ADD, {"first": first_no, "last": last_no, "level": level, "began": began_at})


def read_last(connection: Connection) -> StoreVerification | None:
    """Return the verification that reached furthest, the newest of several."""
    row = connection.execute(READ_LAST).fetchone()
    return None if row is None else StoreVerification(*row)


def read_earlier(connection: Connection, first_no: int, end_no: int) -> list[Earlier]:
    """Return when the blocks from `first_no` to before `end_no` were last verified, as adjacent ranges in order."""
    uncovered = [(first_no, end_no - 1)] if first_no < end_no else []
    found: list[Earlier] = []
    for row in connection.execute(READ, [end_no]):  # the newest first
        known = StoreVerification(*row)
        rest: list[tuple[int, int]] = []
        for first, last in uncovered:
            covered = max(first, known.first_no), min(last, known.last_no)
            if covered[0] > covered[1]:
                rest.append((first, last))
                continue
            found.append(Earlier(*covered, known.began_at))
            rest += [part for part in ((first, covered[0] - 1), (covered[1] + 1, last)) if part[0] <= part[1]]
        uncovered = rest
        if not uncovered:
            break
    found += [Earlier(*part, None) for part in uncovered]
    return _joined(sorted(found, key=lambda one: one.first_no))


def check_verified(connection: Connection) -> list[Fault]:
    """Return a fault for each verification whose last block has another hash now, or is missing."""
    return [
        Fault(number, "verified", f"is not the block that was verified at {began_at:%Y-%m-%d %H:%M:%S} UTC")
        for number, began_at in connection.execute(CHANGED)
    ]


def _joined(parts: Sequence[Earlier]) -> list[Earlier]:
    joined: list[Earlier] = []
    for part in parts:
        before = joined[-1] if joined else None
        if before is None or (before.verified_at is None) != (part.verified_at is None):
            joined.append(part)
            continue
        times = [at for at in (before.verified_at, part.verified_at) if at is not None]
        joined[-1] = Earlier(before.first_no, part.last_no, min(times, default=None))
    return joined
