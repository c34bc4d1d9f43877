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
COUNT = "SELECT count(*) FROM journal.rejected"
READ = """
    SELECT rejected_at, sequence_no, block_hash, source, position, fault, detail, octet_length(record), purged_at
    FROM journal.rejected ORDER BY rejected_at, id LIMIT %s"""


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
class Kept:
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
        }


def read_rejected(connection: Connection, limit: int) -> tuple[int, list[Kept]]:
    """Return how many refusals there are, and the oldest `limit` of them."""
    with connection.transaction():
        row = connection.execute(COUNT).fetchone()
        return row[0] if row else 0, [Kept(*row) for row in connection.execute(READ, [limit])]
