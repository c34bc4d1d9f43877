"""Stream of the journal to Kinesis in QLDB's format: KPL-aggregated records with the hashes as partition keys.

At least once: the position moves when Kinesis has confirmed all records of the blocks up to it. An interrupted stream
resumes there, and may repeat some records. A stream with an end time ends with COMPLETED.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.mark.effects import CHANNEL
from strandline.consumer.mark.lock import strand_lock
from strandline.consumer.mark.mark import read_mark
from strandline.journal.decode.stream import block_records, control_record
from strandline.journal.errors import StrandlineError, UsageError
from strandline.ledger.publish.blocks import AT_A_TIME, Block, read_blocks
from strandline.ledger.publish.kinesis import put

LOCK = "SELECT pg_try_advisory_lock(hashtext('strandline stream'), hashtext(%s))"
READ = "SELECT sequence_no, ends_at, completed FROM journal.outbound_stream WHERE name = %s"
OPEN = "INSERT INTO journal.outbound_stream (name, sequence_no, ends_at) VALUES (%s, %s, %s)"
MOVE = "UPDATE journal.outbound_stream SET sequence_no = %s WHERE name = %s"
COMPLETE = "UPDATE journal.outbound_stream SET completed = true WHERE name = %s"

# The last block to stream, and whether it is the final one: block times never decrease.
LAST = """
    SELECT coalesce(
               (SELECT min(b.sequence_no) - 1 FROM journal.block b
                WHERE b.sequence_no BETWEEN m.origin AND m.sequence_no AND b.block_time >= %(ends_at)s),
               m.sequence_no),
           coalesce(clock_timestamp() >= %(ends_at)s, false)
    FROM journal.mark m"""


@dataclass(slots=True)
class StreamingResult:
    """The blocks and raw records that were streamed. `last_no` is the last block of which all records are sent."""

    blocks: int = 0
    records: int = 0
    last_no: int | None = None
    completed: bool = False


class Streamer:
    """Streams one store's journal into one Kinesis stream; one process at a time."""

    def __init__(self, url: str, client: Any, name: str, ends_at: datetime | None = None) -> None:
        """`client` is boto3's for Kinesis; blocks of `ends_at` or later are not streamed."""
        self._url = url
        self._client = client
        self._name = name
        # In milliseconds, as block times are: a block that is appended later is not before it.
        self._ends_at = ends_at and ends_at.replace(microsecond=ends_at.microsecond // 1000 * 1000)
        self.streamed = StreamingResult()

    def run(
        self, *, follow: bool = False, stopping: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> StreamingResult:  # fmt: skip
        """Stream up to the mark; with `follow`, until `stopping` returns true or the end time has passed.

        Raises StrandlineError if the store is empty, another process streams there, or Kinesis refuses the records;
        UsageError if the stream was opened with another end time.
        """
        with connect(self._url) as connection, connect(self._url, autocommit=True) as holding:
            if holding.execute(LOCK, [self._name]).fetchone() != (True,):
                raise StrandlineError(f"Another process streams to {self._name}: only one may at a time.")
            holding.execute(f"LISTEN {CHANNEL}")
            next_no = self._begin(connection)
            while not self.streamed.completed:
                last_no, is_last = self._last(connection)
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
            raise StrandlineError("The store holds no blocks yet, so there is nothing to stream.")
        self._arn = f"arn:aws:qldb:::stream/strandline/{mark.strand_id}"
        with connection.transaction():
            row = connection.execute(READ, [self._name]).fetchone()
        if row is not None:
            last_no, ends_at, self.streamed.completed = row
            if self._ends_at not in (None, ends_at):
                was = "no end time" if ends_at is None else f"the end time {ends_at.isoformat()}"
                raise UsageError(f"Stream {self._name} was opened with {was}: a new end needs a new stream.")
            self._ends_at = ends_at
            self.streamed.last_no = last_no if last_no >= mark.origin else None
            return int(last_no) + 1
        self.streamed.records += put(self._client, self._name, [control_record(self._arn, "CREATED")])
        with connection.transaction():
            connection.execute(OPEN, [self._name, mark.origin - 1, self._ends_at])
        return mark.origin

    def _last(self, connection: psycopg.Connection[Any]) -> tuple[int, bool]:
        """Return the last block to stream by now, and whether it is the final one."""
        # The lock waits for an append in progress, whose block time may be just before the end.
        with strand_lock(connection, alone=False):
            last_no, is_last = connection.execute(LAST, {"ends_at": self._ends_at}).fetchone() or (-1, False)
        return last_no, is_last

    def _catch_up(
        self, connection: psycopg.Connection[Any], next_no: int, last_no: int,
        stopping: Callable[[], bool], progress: Callable[[int], None],
    ) -> int:  # fmt: skip
        for start in range(next_no, last_no + 1, AT_A_TIME):
            if stopping():
                break
            end = min(start + AT_A_TIME - 1, last_no)
            blocks = [_streamable(block) for block in read_blocks(connection, start, end)]
            records = chain.from_iterable(block_records(self._arn, block) for block in blocks)
            self.streamed.records += put(self._client, self._name, records)
            with connection.transaction():
                connection.execute(MOVE, [end, self._name])
            self.streamed.blocks += len(blocks)
            self.streamed.last_no = end
            next_no = end + 1
            progress(len(blocks))
        return next_no

    def _complete(self, connection: psycopg.Connection[Any]) -> None:
        self.streamed.records += put(self._client, self._name, [control_record(self._arn, "COMPLETED")])
        with connection.transaction():
            connection.execute(COMPLETE, [self._name])
        self.streamed.completed = True


def _streamable(block: Block) -> Block:
    if isinstance(block["blockHash"], str):
        number = block["blockAddress"]["sequenceNo"]
        raise StrandlineError(f"Block {number} is known only as JSON, which no stream has: replay it as Ion first.")
    return block
