"""Rejected records and blocks: each is recorded once, however often it arrives."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from strandline.consumer.database.connection import Connection, columns_of

OPERATOR = "operator"  # the fault of a block that an operator rejected

INSERT = """
    INSERT INTO journal.rejected (digest, sequence_no, block_hash, source, position, fault, detail, record)
    SELECT *
    FROM unnest(
        %s::bytea[], %s::bigint[], %s::bytea[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[]
    ) AS refused (digest)
    ORDER BY digest  -- every writer in the same order, or two could wait for each other
    ON CONFLICT (digest) DO NOTHING"""
READ = """
    SELECT rejected_at, sequence_no, block_hash, source, position, fault, detail, octet_length(record), purged_at,
           acknowledged_at
    FROM journal.rejected WHERE %s OR acknowledged_at IS NULL ORDER BY rejected_at, id LIMIT %s"""
SUMMARIZE = """
    SELECT fault, count(*), min(sequence_no), max(sequence_no), max(rejected_at)
    FROM journal.rejected WHERE %s OR acknowledged_at IS NULL GROUP BY fault ORDER BY count(*) DESC, fault"""
ACKNOWLEDGE = "UPDATE journal.rejected SET acknowledged_at = now() WHERE acknowledged_at IS NULL"


@dataclass(frozen=True)
class Refusal:
    """A record, block or revision that intake or the mark refused.

    `source` is an object's name, or stream and shard; `position` the sequence number in a stream. `detail` holds ids
    and hashes only. `record` has the bytes themselves if no export holds them.
    """

    sequence_no: int | None
    block_hash: bytes | None
    source: str
    position: str | None
    fault: str
    detail: str
    record: bytes | None = field(default=None, repr=False)  # may hold personal data

    @property
    def digest(self) -> bytes:
        block_hash = self.block_hash.hex() if self.block_hash is not None else None
        named = [self.sequence_no, block_hash, self.source, self.position, self.fault, self.detail]
        return hashlib.sha256(json.dumps(named).encode()).digest()


def reject(connection: Connection, refusals: Collection[Refusal]) -> None:
    """Record the refusals, in the caller's transaction; those that are recorded already do not change."""
    if not refusals:
        return
    rows = [
        (r.digest, r.sequence_no, r.block_hash, r.source, r.position, r.fault, r.detail, r.record) for r in refusals
    ]
    connection.execute(INSERT, columns_of(rows))


@dataclass(frozen=True)
class StoredRefusal:
    """A stored refusal; `size` is that of its record's bytes, None if there are none (any more)."""

    rejected_at: datetime
    sequence_no: int | None
    block_hash: bytes | None
    source: str
    position: str | None
    fault: str
    detail: str
    size: int | None
    purged_at: datetime | None
    acknowledged_at: datetime | None

    def as_dict(self) -> dict[str, object]:
        """Return the refusal in the form of `--json`."""
        return {
            "rejected_at": self.rejected_at.isoformat(),
            "sequenceNo": self.sequence_no,
            "block_hash": None if self.block_hash is None else self.block_hash.hex(),
            "source": self.source,
            "position": self.position,
            "fault": self.fault,
            "detail": self.detail,
            "bytes": self.size,
            "purged_at": None if self.purged_at is None else self.purged_at.isoformat(),
            "acknowledged_at": None if self.acknowledged_at is None else self.acknowledged_at.isoformat(),
        }


@dataclass(frozen=True)
class Reason:
    """The refusals with one fault: how many, the range of their blocks, and the time of the latest."""

    fault: str
    number: int
    first_no: int | None
    last_no: int | None
    latest: datetime

    def as_dict(self) -> dict[str, object]:
        """Return the reason in the form of `--json`."""
        return {
            "fault": self.fault,
            "rejected": self.number,
            "first": self.first_no,
            "last": self.last_no,
            "latest": self.latest.isoformat(),
        }


def read_rejected(connection: Connection, limit: int, *, acknowledged: bool = False) -> list[StoredRefusal]:
    """Return the oldest `limit` refusals, those that are `acknowledged` only on request."""
    with connection.transaction():
        return [StoredRefusal(*row) for row in connection.execute(READ, [acknowledged, limit])]


def read_reasons(connection: Connection, *, acknowledged: bool = False) -> list[Reason]:
    """Return the refusals by fault, the most frequent first; those that are `acknowledged` only on request."""
    with connection.transaction():
        return [Reason(*row) for row in connection.execute(SUMMARIZE, [acknowledged])]


def acknowledge(connection: Connection) -> int:
    """Mark every refusal as dealt with, so that it is no longer counted or listed. Returns how many."""
    with connection.transaction():
        return connection.execute(ACKNOWLEDGE).rowcount
