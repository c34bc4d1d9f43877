"""What was refused: kept and shown, once, however often it comes again."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import psycopg

INSERT = """
    INSERT INTO journal.rejected (digest, sequence_no, block_hash, source, position, fault, detail, record)
    SELECT *
    FROM unnest(
        %s::bytea[], %s::bigint[], %s::bytea[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[]
    ) AS refused (digest)
    ORDER BY digest  -- every writer in the same order, or two could wait for each other
    ON CONFLICT (digest) DO NOTHING"""


@dataclass(frozen=True)
class Refusal:
    """One thing that was not taken in.

    `source` is an object's name, or stream and shard; `position` the sequence number in a stream. `detail` holds ids
    and hashes only. `record` is the bytes themselves where no export holds them.
    """

    sequence_no: int | None
    block_hash: bytes | None
    source: str
    position: str | None
    fault: str
    detail: str
    record: bytes | None = None

    @property
    def digest(self) -> bytes:
        block_hash = self.block_hash.hex() if self.block_hash is not None else None
        named = [self.sequence_no, block_hash, self.source, self.position, self.fault, self.detail]
        return hashlib.sha256(json.dumps(named).encode()).digest()


def reject(connection: psycopg.Connection[Any], refusals: Collection[Refusal]) -> None:
    """Record the refusals, in the caller's transaction; those that are recorded already stay as they are."""
    if not refusals:
        return
    rows = [
        (r.digest, r.sequence_no, r.block_hash, r.source, r.position, r.fault, r.detail, r.record) for r in refusals
    ]
    connection.execute(INSERT, [list(column) for column in zip(*rows, strict=True)])
