"""A ledger that writes without pause to a Kinesis stream, as QLDB streams: out of order, some records twice, some again
long after they were redacted."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from random import Random

from strandline.journal.decode import stream
from strandline.journal.decode.stream import UserRecord
from strandline.journal.simulation.ledger import new_id
from strandline.journal.simulation.licensing import LicenceLedger
from strandline.journal.simulation.strand import SimulatedStrand
from strandline.ledger.publish.kinesis import kinesis, put
from tests.soak.ledger_model import Key, LedgerModel

BLOCKS_A_SECOND = 60
TICK_SECONDS = 0.5
MOST_AHEAD = 3_000  # blocks, so that a slow or busy machine can follow
REDACTIONS = 0.08
HELD_BACK = 200  # user records among which the order is random
TWICE = 0.03
STALLS, BURSTS = 0.05, 0.05  # of the ticks: the ledger writes nothing, or five times as much
LATE = 0.5  # of the ticks: repeats a record whose revision was redacted long ago


class Load:
    """Writes until `stop`, `most_blocks` at most. The seed alone determines what it writes, but not how much.

    `taken` returns the block that the read models have reached.
    """

    def __init__(self, stream_name: str, seed: int, most_blocks: int, taken: Callable[[], int]) -> None:
        self._name, self._client, self._taken = stream_name, kinesis(), taken
        self._random = Random(f"{seed} load")
        self._strand = SimulatedStrand(LicenceLedger, seed, most_blocks, REDACTIONS)
        self._blocks = self._strand.make()
        self._arn = f"arn:aws:qldb:eu-west-2:123456789012:stream/{stream_name}/{new_id(self._random)}"
        self.written = LedgerModel()
        self.sent = -1
        """The last block up to which every record was sent at least once."""
        self._failure: Exception | None = None
        self._unsent: Counter[int] = Counter()
        self._waiting: list[tuple[int, UserRecord]] = []
        self._records: dict[Key, UserRecord] = {}
        self._late: list[UserRecord] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        put(self._client, self._name, [stream.control_record(self._arn, "CREATED")])
        self._thread.start()

    def check(self) -> None:
        """Raise the error that ended it."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Send the records that it kept back, and that the stream is complete."""
        self._stopping.set()
        self._thread.join()
        self.check()
        self._send(0)
        put(self._client, self._name, [stream.control_record(self._arn, "COMPLETED")])

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                started = time.monotonic()
                if self.sent - self._taken() > MOST_AHEAD:
                    self._stopping.wait(TICK_SECONDS)
                    continue
                chance = self._random.random()
                blocks = round(BLOCKS_A_SECOND * TICK_SECONDS)
                if chance < BURSTS:
                    blocks *= 5
                elif chance < BURSTS + STALLS:
                    blocks = 0
                self._write(blocks)
                self._send(HELD_BACK)
                self._stopping.wait(TICK_SECONDS - (time.monotonic() - started))
        except Exception as error:  # `check` raises it
            self._failure = error

    def _write(self, blocks: int) -> None:
        # The strand ends: a test that takes longer than planned goes on without new blocks.
        for block in islice(self._blocks, blocks):
            number = block["blockAddress"]["sequenceNo"]
            redacted = self.written.add(block)
            records = list(stream.block_records(self._arn, block))
            for record, details in zip(records[1:], stream.revision_details(block), strict=True):
                metadata = details["revision"]["metadata"]
                self._records[metadata["id"], metadata["version"]] = record
            self._late += [self._records[key] for key in redacted]
            self._unsent[number] = len(records)
            self._waiting += [(number, record) for record in records]

    def _send(self, hold_back: int) -> None:
        self._random.shuffle(self._waiting)
        at = max(len(self._waiting) - hold_back, 0)
        now, self._waiting = self._waiting[:at], self._waiting[at:]
        put(self._client, self._name, self._repeated(record for _, record in now))
        for number, _ in now:
            self._unsent[number] -= 1
        while self._unsent[self.sent + 1] == 0 and self.sent < self.written.tip:
            self.sent += 1
            del self._unsent[self.sent]

    def _repeated(self, records: Iterable[UserRecord]) -> Iterator[UserRecord]:
        for record in records:
            yield record
            if self._random.random() < TWICE:
                yield record
        if self._late and self._random.random() < LATE:
            yield self._random.choice(self._late)
