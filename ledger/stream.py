"""Streaming the journal to Kinesis as QLDB did: KPL-aggregated records under the hashes as partition keys.

At least once: the position moves when Kinesis has confirmed all records of the blocks up to it, so a stream that was
broken off goes on there, and may repeat some.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from consumer.database import connect
from consumer.mark import CHANNEL, read_mark
from journal.errors import StrandlineError
from journal.stream import UserRecord, block_records, control_record, pack
from ledger.blocks import AT_A_TIME, Block, read_blocks

# Kinesis takes 500 records and 5 MB a request.
_MOST_RECORDS, _MOST_BYTES = 500, 4 * 1024 * 1024
_ATTEMPTS = 8
_FIRST_WAIT = 0.1

LOCK = "SELECT pg_try_advisory_lock(hashtext('strandline stream'), hashtext(%s))"
READ = "SELECT sequence_no FROM journal.outbound_stream WHERE name = %s"
OPEN = "INSERT INTO journal.outbound_stream (name, sequence_no) VALUES (%s, %s)"
MOVE = "UPDATE journal.outbound_stream SET sequence_no = %s WHERE name = %s"


@dataclass(slots=True)
class Streamed:
    """What was streamed; `last_no` is the last block whose records are all in."""

    blocks: int = 0
    records: int = 0
    last_no: int | None = None


class Streamer:
    """Streams one store's journal into one Kinesis stream; one process at a time."""

    def __init__(self, url: str, client: Any, name: str) -> None:
        """`client` is boto3's for Kinesis."""
        self._url = url
        self._client = client
        self._name = name
        self.streamed = Streamed()

    def run(
        self, *, follow: bool = False, stopping: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Streamed:  # fmt: skip
        """Stream up to the mark; where it is to follow, go on as blocks come, until told to stop.

        Raises StrandlineError where the store is empty, another process streams there, or Kinesis does not take it.
        """
        with connect(self._url) as connection, connect(self._url, autocommit=True) as holding:
            if holding.execute(LOCK, [self._name]).fetchone() != (True,):
                raise StrandlineError(f"Another process streams to {self._name}: there is one at a time.")
            holding.execute(f"LISTEN {CHANNEL}")
            next_no = self._begin(connection)
            while True:
                next_no = self._catch_up(connection, next_no, stopping, progress)
                if not follow or stopping():
                    return self.streamed
                for _ in holding.notifies(timeout=0.5, stop_after=1):
                    pass

    def _begin(self, connection: psycopg.Connection[Any]) -> int:
        """The block to go on with; a new stream begins with CREATED."""
        mark = read_mark(connection)
        if mark.strand_id is None or mark.sequence_no < mark.origin:
            raise StrandlineError("The store holds no blocks yet, so there is nothing to stream.")
        self._arn = f"arn:aws:qldb:::stream/strandline/{mark.strand_id}"
        with connection.transaction():
            row = connection.execute(READ, [self._name]).fetchone()
        if row is not None:
            self.streamed.last_no = row[0]
            return int(row[0]) + 1
        self._put(list(pack([control_record(self._arn, "CREATED")])))
        with connection.transaction():
            connection.execute(OPEN, [self._name, mark.origin - 1])
        return mark.origin

    def _catch_up(
        self, connection: psycopg.Connection[Any], next_no: int,
        stopping: Callable[[], bool], progress: Callable[[int], None],
    ) -> int:  # fmt: skip
        last_no = read_mark(connection).sequence_no
        for start in range(next_no, last_no + 1, AT_A_TIME):
            if stopping():
                break
            end = min(start + AT_A_TIME - 1, last_no)
            blocks = [_streamable(block) for block in read_blocks(connection, start, end)]
            records = pack(chain.from_iterable(block_records(self._arn, block) for block in blocks))
            for request in _requests(records):
                self._put(request)
            with connection.transaction():
                connection.execute(MOVE, [end, self._name])
            self.streamed.blocks += len(blocks)
            self.streamed.last_no = end
            next_no = end + 1
            progress(len(blocks))
        return next_no

    def _put(self, records: Sequence[UserRecord]) -> None:
        """Put all of them; those that Kinesis did not take again, after a growing wait."""
        left = list(records)
        for attempt in range(_ATTEMPTS):
            try:
                answer = self._client.put_records(
                    StreamName=self._name,
                    Records=[{"Data": one.data, "PartitionKey": one.partition_key[:256]} for one in left],
                )
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code", "unknown"))
                raise StrandlineError(f"Kinesis stream {self._name}: refused ({code}).") from None
            except BotoCoreError as error:
                raise StrandlineError(
                    f"Kinesis stream {self._name}: cannot be reached ({type(error).__name__}); check AWS_REGION, the "
                    "credentials and the network."
                ) from None
            left = [one for one, told in zip(left, answer["Records"], strict=True) if "ErrorCode" in told]
            if not left:
                self.streamed.records += len(records)
                return
            time.sleep(_FIRST_WAIT * 2**attempt)
        raise StrandlineError(
            f"Kinesis stream {self._name}: takes no more now (it is throttled, or has too few shards); run it again."
        )


def _streamable(block: Block) -> Block:
    if isinstance(block["blockHash"], str):
        number = block["blockAddress"]["sequenceNo"]
        raise StrandlineError(f"Block {number} was had only as JSON, which no stream holds: replay it as Ion first.")
    return block


def _requests(records: Iterator[UserRecord]) -> Iterator[list[UserRecord]]:
    request: list[UserRecord] = []
    size = 0
    for record in records:
        length = len(record.data) + len(record.partition_key)
        if request and (len(request) == _MOST_RECORDS or size + length > _MOST_BYTES):
            yield request
            request, size = [], 0
        request.append(record)
        size += length
    if request:
        yield request
