"""A batch of stream records into the journal store, in one transaction; what cannot be taken is refused and kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors

from strandline.consumer.intake.stream_records import Part, Received, refuse, sort_out
from strandline.consumer.intake.writer import ForeignStrand, JournalWriter
from strandline.consumer.mark.mark import advance
from strandline.consumer.store.rejected import Refusal
from strandline.consumer.store.streams import hear
from strandline.journal.check.block import Fault

# Of a value, not of the connection or the server: the only errors that blame a record.
REFUSED = (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded, errors.StatementTooComplex)


@dataclass(frozen=True)
class StreamResult:
    """What a batch brought that was not held before, what was refused of it, and the mark after it."""

    records: int
    blocks: int
    revisions: int
    refused: int
    mark: int


class StreamIntake:
    """Takes batches of one shard into the store; a batch that came before changes nothing."""

    def __init__(
        self, connection: psycopg.Connection[Any], *, stream: str, shard: str, origin: int, trust_deletions: bool
    ) -> None:
        self._connection = connection
        self._store = JournalWriter(connection)
        self._stream = stream
        self._source = f"{stream}/{shard}"
        self._origin = origin
        self._trust_deletions = trust_deletions
        self._strands: dict[str, ForeignStrand | None] = {}

    def take(self, records: Sequence[Received]) -> StreamResult:
        """Store a batch; when this returns, all of it is durable and the mark has moved as far as it can."""
        found = sort_out(records, self._source, trust_deletions=self._trust_deletions)
        refusals, own = found.refusals, []
        for part in found.parts:
            if (foreign := self._foreign(part.strand_id)) is None:
                own.append(part)
            else:
                fault = Fault(part.rows.first_no, "foreign-strand", str(foreign))
                refusals.append(refuse(part.record, self._source, fault))
        blocks, revisions, refused = self._intake(own, refusals)
        hear(self._connection, self._stream, created=found.created, completed=found.completed)
        mark = advance(self._connection).mark
        return StreamResult(len(records), blocks, revisions, refused, mark.sequence_no)

    def _foreign(self, strand_id: str) -> ForeignStrand | None:
        if strand_id not in self._strands:
            try:
                self._store.begin_strand(strand_id, self._origin)
                self._strands[strand_id] = None
            except ForeignStrand as error:
                self._strands[strand_id] = error
        return self._strands[strand_id]

    def _intake(self, parts: Sequence[Part], refusals: Sequence[Refusal]) -> tuple[int, int, int]:
        """Take all in at once; where PostgreSQL refuses that, halve until the record is found that is to blame."""
        try:
            taken = self._store.intake([part.rows for part in parts], source=self._source, refusals=refusals)
            return taken.new_blocks, taken.new_revisions, taken.refused
        except REFUSED as exc:
            if len(parts) > 1:
                half = len(parts) // 2
                first = self._intake(parts[:half], refusals)
                second = self._intake(parts[half:], ())
                return first[0] + second[0], first[1] + second[1], first[2] + second[2]
            if not parts:
                raise
            part = parts[0]
            fault = Fault(part.rows.first_no, "refused", f"PostgreSQL refuses the row (SQLSTATE {exc.sqlstate})")
            return self._intake((), [*refusals, refuse(part.record, self._source, fault)])
