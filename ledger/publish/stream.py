"""Stream of the journal to Kinesis in QLDB's format: KPL-aggregated records with the hashes as partition keys.

At least once: the position moves when Kinesis has confirmed all records of the blocks up to it. An interrupted stream
resumes there, and may repeat some records. A stream with an end time ends with COMPLETED.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.mark.effects import CHANNEL
from strandline.consumer.mark.mark import read_mark
from strandline.journal.decode.stream import UserRecord, block_records, control_record
from strandline.journal.errors import StrandlineError, UsageError
from strandline.ledger.publish.blocks import AT_A_TIME, Block, read_blocks
from strandline.ledger.publish.kinesis import put
from strandline.ledger.publish.period import EmptyJournal, first_block, last_block

LOCK = "SELECT pg_try_advisory_lock(hashtext('strandline stream'), hashtext(%s))"
READ = "SELECT sequence_no, ends_at, completed FROM journal.outbound_stream WHERE name = %s"
OPEN = "INSERT INTO journal.outbound_stream (name, sequence_no, ends_at) VALUES (%s, %s, %s)"
MOVE = "UPDATE journal.outbound_stream SET sequence_no = %s WHERE name = %s"
COMPLETE = "UPDATE journal.outbound_stream SET completed = true WHERE name = %s"


class StreamInUse(StrandlineError):
    """Another process streams there."""


@dataclass(slots=True)
class StreamingResult:
    """The blocks and raw records that were streamed. `last_no` is the last block of which all records are sent."""

    blocks: int = 0
    records: int = 0
    last_no: int | None = None
    completed: bool = False


class Streamer:
    """Streams one store's journal into one Kinesis stream; one process at a time.

    Its position is kept under `key`, by default the Kinesis stream's name.
    """

    def __init__(
        self, url: str, client: Any, name: str, ends_at: datetime | None = None, *, starts_at: datetime | None = None,
        key: str | None = None, arn: str | None = None, aggregated: bool = True,
    ) -> None:  # fmt: skip
        """`client` is boto3's for Kinesis; blocks before `starts_at`, and of `ends_at` or later, are not streamed.

        `arn` is the QLDB stream's, which each record names; by default one with the strand's id.
        """
        self._url = url
        self._client = client
        self._name = name
        self._key = key or name
        self._arn = arn
        self._aggregated = aggregated
        self._starts_at = starts_at
        # In milliseconds, as block times are: a block that is appended later is not before it.
        self._ends_at = ends_at and ends_at.replace(microsecond=ends_at.microsecond // 1000 * 1000)
        self.streamed = StreamingResult()

    def run(
        self, *, follow: bool = False, stopping: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> StreamingResult:  # fmt: skip
        """Stream up to the mark; with `follow`, until `stopping` returns true or the end time has passed.

        Raises EmptyJournal, StreamInUse, AwsError if Kinesis refuses the records; StrandlineError for a block that
        cannot be streamed; UsageError if the stream was opened with another end time.
        """
        with connect(self._url) as connection, connect(self._url, autocommit=True) as holding:
            if holding.execute(LOCK, [self._key]).fetchone() != (True,):
                raise StreamInUse(f"Another process streams to {self._name}: only one may at a time.")
            holding.execute(f"LISTEN {CHANNEL}")
            next_no = self._begin(connection)
            while not self.streamed.completed:
                last_no, is_last = last_block(connection, self._ends_at)
                next_no = self._catch_up(connection, next_no, last_no, stopping, progress)
                if is_last and next_no > last_no:
                    self._complete(connection)
                elif not follow or stopping():
                    break
                else:
                    for _ in holding.notifies(timeout=0.5, stop_after=1):
                        pass
            return self.streamed

    def _begin(self, connection: psycopg.Connection[Any]) -> int:
        """Return the next block to stream. A new stream begins with CREATED."""
        mark = read_mark(connection)
        if mark.strand_id is None or mark.sequence_no < mark.origin:
            raise EmptyJournal("The store holds no blocks yet, so there is nothing to stream.")
        self._arn = self._arn or f"arn:aws:qldb:::stream/strandline/{mark.strand_id}"
        with connection.transaction():
            row = connection.execute(READ, [self._key]).fetchone()
        if row is not None:
            last_no, ends_at, self.streamed.completed = row
            if self._ends_at not in (None, ends_at):
                was = "no end time" if ends_at is None else f"the end time {ends_at.isoformat()}"
                raise UsageError(f"Stream {self._name} was opened with {was}: a new end needs a new stream.")
            self._ends_at = ends_at
            self.streamed.last_no = last_no if last_no >= mark.origin else None
            return int(last_no) + 1
        first_no = first_block(connection, self._starts_at)
        self._put([control_record(self._arn, "CREATED")])
        with connection.transaction():
            connection.execute(OPEN, [self._key, first_no - 1, self._ends_at])
        return first_no

    def _put(self, records: Iterable[UserRecord]) -> None:
        self.streamed.records += put(self._client, self._name, records, aggregated=self._aggregated)

    def _catch_up(
        self, connection: psycopg.Connection[Any], next_no: int, last_no: int,
        stopping: Callable[[], bool], progress: Callable[[int], None],
    ) -> int:  # fmt: skip
        for start in range(next_no, last_no + 1, AT_A_TIME):
            if stopping():
                break
            end = min(start + AT_A_TIME - 1, last_no)
            blocks = [_streamable(block) for block in read_blocks(connection, start, end)]
            arn = self._arn or ""
            self._put(chain.from_iterable(block_records(arn, block) for block in blocks))
            with connection.transaction():
                connection.execute(MOVE, [end, self._key])
            self.streamed.blocks += len(blocks)
            self.streamed.last_no = end
            next_no = end + 1
            progress(len(blocks))
        return next_no

    def _complete(self, connection: psycopg.Connection[Any]) -> None:
        self._put([control_record(self._arn or "", "COMPLETED")])
        with connection.transaction():
            connection.execute(COMPLETE, [self._key])
        self.streamed.completed = True


def _streamable(block: Block) -> Block:
    if isinstance(block["blockHash"], str):
        number = block["blockAddress"]["sequenceNo"]
        raise StrandlineError(f"Block {number} is known only as JSON, which no stream has: replay it as Ion first.")
    return block
