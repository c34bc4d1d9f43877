"""Stores batches of stream records in the journal; what cannot be stored is rejected, and its bytes are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from strandline.consumer.database.bisection import attempt_all
from strandline.consumer.database.connection import Connection
from strandline.consumer.database.errors import ROW_ERRORS
from strandline.consumer.intake.stream_records import Part, Received, refuse, sort_out
from strandline.consumer.intake.writer import ForeignStrand, IntakeResult, JournalWriter
from strandline.consumer.mark.mark import advance
from strandline.consumer.store.rejected import Refusal
from strandline.consumer.store.streams import hear
from strandline.journal.check.block import Fault


@dataclass(frozen=True)
class StreamResult:
    """The result of a batch: what was new, what was refused, and the mark after it."""

    records: int
    blocks: int
    revisions: int
    refused: int
    mark: int
    fault: str | None = None
    """The reason why nothing of the batch, or of another strand's records, could be stored: ids and kinds only."""


class StreamIntake:
    """Stores the batches of one shard; a repeated batch changes nothing."""

    def __init__(self, connection: Connection, *, stream: str, shard: str, origin: int, trust_deletions: bool) -> None:
        self._connection = connection
        self._store = JournalWriter(connection)
        self._stream = stream
        self._source = f"{stream}/{shard}"
        self._origin = origin
        self._trust_deletions = trust_deletions
        self._strands: dict[str, ForeignStrand | None] = {}

    def take(self, records: Sequence[Received]) -> StreamResult:
        """Store a batch. On return all of it is durable, and the mark is as high as possible."""
        found = sort_out(records, self._source, trust_deletions=self._trust_deletions)
        refusals, own, strands = found.refusals, [], dict[str, ForeignStrand]()
        for part in found.parts:
            if (foreign := self._foreign(part.strand_id)) is None:
                own.append(part)
            else:
                strands[part.strand_id] = foreign
                reason = Fault(part.rows.first_no, "foreign-strand", str(foreign))
                refusals.append(refuse(part.record, self._source, reason))
        unstored = len(refusals)
        results = self._intake(own, refusals)
        some_stored = len(own) > len(refusals) - unstored or found.created or found.completed
        stream_fault = _fault(strands, refusals, some_stored=some_stored)
        hear(self._connection, self._stream, created=found.created, completed=found.completed, fault=stream_fault)
        mark = advance(self._connection).mark
        return StreamResult(
            len(records),
            sum(result.new_blocks for result in results),
            sum(result.new_revisions for result in results),
            sum(result.refused for result in results),
            mark.sequence_no,
            stream_fault,
        )

    def _foreign(self, strand_id: str) -> ForeignStrand | None:
        if strand_id not in self._strands:
            try:
                self._store.begin_strand(strand_id, self._origin)
                self._strands[strand_id] = None
            except ForeignStrand as error:
                self._strands[strand_id] = error
        return self._strands[strand_id]

    def _intake(self, parts: Sequence[Part], rejected: list[Refusal]) -> list[IntakeResult]:
        """Store the parts. A record that PostgreSQL refuses is added to `rejected`; the others are stored."""

        def store(some: Sequence[Part]) -> list[IntakeResult]:
            omissions = [omission for part in some for omission in part.omissions]
            return [self._store.intake([part.rows for part in some], source=self._source, omissions=omissions)]

        def reject(part: Part, error: psycopg.Error) -> IntakeResult:
            detail = f"PostgreSQL refuses the row (SQLSTATE {error.sqlstate})"
            rejected.append(refuse(part.record, self._source, Fault(part.rows.first_no, "refused", detail)))
            return IntakeResult(0, 0, 0)

        results = attempt_all(parts, store, reject, ROW_ERRORS)
        return [*results, self._store.intake((), source=self._source, refusals=rejected)] if rejected else results


def _fault(strands: Mapping[str, ForeignStrand], refusals: Sequence[Refusal], *, some_stored: bool) -> str | None:
    """Return what an operator must know of a batch: its records are of another strand, or all of it was rejected."""
    if strands:
        return f"records of another strand are rejected: {next(iter(strands.values()))}"
    if refusals and not some_stored:
        kinds = ", ".join(sorted({one.fault for one in refusals}))
        return f"every record of the last batch was rejected ({kinds}): see `strandline rejected`"
    return None
