"""The status of a store: the mark, gaps, rejections, redactions and every generation."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from strandline.consumer.generations.state import ProjectionStatus, statuses
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores
from strandline.consumer.mark.gaps import head_and_gaps
from strandline.consumer.mark.mark import read_mark
from strandline.consumer.mark.omissions import count_omissions
from strandline.consumer.monitoring.claims import Claims, read_claims
from strandline.consumer.projection.definition import Projection
from strandline.consumer.store.digest_checks import DigestCheck, read_checks
from strandline.consumer.store.redactions import IS_HIDDEN, IS_IN_EFFECT, REDACTING_ABOVE
from strandline.consumer.store.restored import RestoredCounts, read_restored
from strandline.consumer.store.verifications import StoreVerification, read_last

READ_ACCEPTED = "SELECT first_no, last_no, reason FROM journal.accepted_gap ORDER BY first_no"
COUNT_REJECTED = "SELECT count(*) FROM journal.rejected WHERE acknowledged_at IS NULL"
# An imported redaction is pending until the mark passes the revision that it names. In the order of the index that has
# only the redactions that are not hidden: for the union, the planner would read all of them in its order.
COUNT_PENDING = f"""
    SELECT count(*) FROM (
        SELECT named ->> 'documentId', (named ->> 'version')::bigint
        FROM ({REDACTING_ABOVE}) AS above, jsonb_array_elements(above.redactions) AS named
        UNION
        SELECT document_id, version FROM (
            SELECT d.document_id, d.version FROM journal.redaction d, journal.mark m
            WHERE NOT {IS_IN_EFFECT} AND NOT {IS_HIDDEN} ORDER BY d.effective_no OFFSET 0) AS unconfirmed
    ) AS pending"""
# The transaction that registers a redaction erases the data; a generation that has not applied it keeps it open.
COUNT_REGISTERED = f"""
    SELECT (SELECT count(*) FROM journal.redaction d, journal.mark m WHERE {IS_IN_EFFECT} AND NOT {IS_HIDDEN}), hidden
    FROM projection.receipt_head"""
READ_MOVED = "SELECT moved_at FROM journal.mark"
CHECKS_SHOWN = 20
READ_OTHERS = """
    SELECT projection, store, generation, position, state FROM projection.generation
    WHERE generation <> ALL (%s::bigint[]) ORDER BY projection, generation"""


@dataclass(frozen=True)
class AcceptedGap:
    """Blocks that are permanently lost, and the operator's reason for skipping them."""

    first_no: int
    last_no: int
    reason: str


@dataclass(frozen=True)
class RedactionCounts:
    """`pending`: above the mark; `open`: some generation has not applied it; `done`: applied everywhere, with
    receipts."""

    pending: int
    open: int
    done: int


@dataclass(frozen=True)
class OtherGeneration:
    """A generation that is not the live one of a known projection."""

    name: str
    store: str
    generation: int
    position: int
    state: str


@dataclass(frozen=True)
class IncompleteBlocks:
    """Blocks that are not shown to be complete: the mark stops before one that is `open`, and passed the others."""

    open: int
    accepted: int


@dataclass(frozen=True)
class Status:
    """One snapshot. `mark` is None while the store has no block up to the mark, `head` while it has none at all.

    `moved_at` is when the mark last rose; `digest_checks` are the latest checks of saved digests, the newest first.
    `verification` is the recorded one that reached furthest.
    """

    strand_id: str | None
    origin: int
    mark: int | None
    head: int | None
    gaps: list[tuple[int, int]]
    accepted_gaps: list[AcceptedGap]
    incomplete_blocks: IncompleteBlocks
    rejected: int
    redactions: RedactionCounts
    projections: list[ProjectionStatus]
    other_generations: list[OtherGeneration]
    claims: Claims
    restored: RestoredCounts
    moved_at: datetime | None = None
    digest_checks: list[DigestCheck] = field(default_factory=list)
    verification: StoreVerification | None = None

    @property
    def waits(self) -> bool:
        """Return True if candidates above the mark wait without a gap: for revisions, or for the chain to decide."""
        return self.head is not None and not self.gaps and (self.mark is None or self.head > self.mark)


def read_status(
    connection: psycopg.Connection[Any], projections: Iterable[Projection], stores: Stores = DATABASE_ONLY
) -> Status:
    """Read the status in one snapshot. The connection must be outside a transaction."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        at = read_mark(connection)
        served = statuses(connection, projections, stores)
        head, gaps = head_and_gaps(connection)
        known = [one.generation for one in served if one.generation is not None]
        return Status(
            strand_id=at.strand_id,
            origin=at.origin,
            mark=at.sequence_no if at.sequence_no >= at.origin else None,
            head=head,
            gaps=gaps,
            accepted_gaps=[AcceptedGap(*row) for row in connection.execute(READ_ACCEPTED)],
            incomplete_blocks=IncompleteBlocks(*count_omissions(connection)),
            rejected=_row(connection, COUNT_REJECTED)[0],
            redactions=RedactionCounts(_row(connection, COUNT_PENDING)[0], *_row(connection, COUNT_REGISTERED)),
            projections=served,
            other_generations=[OtherGeneration(*row) for row in connection.execute(READ_OTHERS, [known])],
            claims=read_claims(connection),
            moved_at=_row(connection, READ_MOVED)[0],
            digest_checks=read_checks(connection, CHECKS_SHOWN),
            verification=read_last(connection),
            restored=read_restored(connection),
        )


def _row(connection: psycopg.Connection[Any], statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return tuple(row)
