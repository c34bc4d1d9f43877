"""The worker: records a second from KCL's daemon into the stores, against a processor that does nothing.

And the delay until a record can be read.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psycopg
from opensearchpy.exceptions import NotFoundError

from benchmarks.cloud import POSITIONS, Place, peak_mb, place, wait_for
from benchmarks.measuring import Figure, Measured, Options
from benchmarks.processor import Note
from strandline.journal.decode import stream
from strandline.journal.decode.stream import UserRecord
from strandline.journal.simulation.licensing import LicenceLedger
from strandline.journal.simulation.strand import SimulatedStrand
from strandline.ledger.publish.kinesis import feed, kinesis, put
from tests.consumer.worker.live import STREAM

ARN = "arn:aws:qldb:eu-west-2:123456789012:stream/licences/Stream0000000000000000"
# The emulator slows down as its stream grows; too few records would all arrive at once.
LEAST_REVISIONS, MOST_REVISIONS = 15_000, 20_000
REVISIONS_A_BLOCK = 1.65  # of the simulated licence ledger
A_SECOND, TICK_SECONDS = 500, 0.1
WARM_SECONDS, MEASURED_SECONDS = 5, 20
SEARCHED = "endorsement_search"


@dataclass(frozen=True)
class Written:
    """A block's number, its records, and the keys of its revisions: of all, and of the searched table."""

    number: int
    records: list[UserRecord]
    revisions: list[str]
    searched: list[str]


def measure(options: Options) -> Iterator[Figure]:
    revisions = min(max(options.revisions, LEAST_REVISIONS), MOST_REVISIONS)
    written = written_blocks(int(revisions / REVISIONS_A_BLOCK))
    idle = _idle(options.folder / "idle", written)
    yield Figure("daemon", "to a processor that does nothing", idle)
    for step, measured in _taken(options.folder / "worker", written):
        yield Figure("daemon", step, measured, measured.rate / idle.rate, "does nothing")
    yield from _delays(options.folder / "steady")


def written_blocks(blocks: int) -> list[Written]:
    made = []
    for block in SimulatedStrand(LicenceLedger, 1, blocks, 0.08).make():
        details = stream.revision_details(block)
        keys = [one["revision"]["hash"].hex() for one in details]
        searched = [
            key for key, one in zip(keys, details, strict=True) if one["tableInfo"]["tableName"] == "Endorsement"
        ]
        records = list(stream.block_records(ARN, block))
        made.append(Written(block["blockAddress"]["sequenceNo"], records, keys, searched))
    return made


def _idle(folder: Path, written: Sequence[Written]) -> Measured:
    records = _count(written)
    with place(folder) as on:
        feed_all(written)
        with on.worker(processor="idle") as worker:
            wait_for(lambda: sum(len(note.keys) for note in on.notes()) >= records, worker, 0.5)
            return _since_first_batches(on, records, max(note.done for note in on.notes()), peak_mb(worker))


def _taken(folder: Path, written: Sequence[Written]) -> Iterator[tuple[str, Measured]]:
    """Measure until everything is in the store, and until it is in every read model."""
    records, tip = _count(written), written[-1].number
    with place(folder) as on:
        feed_all(written)
        with on.worker() as worker:
            stored = wait_for(lambda: on.mark() == tip, worker)
            shown = wait_for(lambda: set(on.positions().values()) == {tip}, worker)
            peak = peak_mb(worker)
        yield "into the journal store", _since_first_batches(on, records, stored, peak)
        yield "into the read models", _since_first_batches(on, records, shown, peak)


def _since_first_batches(on: Place, records: int, until: float, peak: int) -> Measured:
    """Count the records and seconds after each shard's first batch: that excludes the daemon's start."""
    first: dict[str, Note] = {}
    for note in on.notes():
        first.setdefault(note.shard, note)
    rest = records - sum(len(note.keys) for note in first.values())
    assert rest > records / 2, "too few records to measure"
    return Measured(rest, until - max(note.done for note in first.values()), peak)


def _delays(folder: Path) -> Iterator[Figure]:
    """Measure from a revision's arrival until the last read model of its store shows it, at a steady rate."""
    seconds = WARM_SECONDS + MEASURED_SECONDS
    written = written_blocks(int(A_SECOND * seconds / REVISIONS_A_BLOCK))
    with place(folder) as on, on.worker() as worker:
        wait_for(lambda: worker.process.poll() is None and _begun(worker.log_file), worker)
        with _watching(on) as seen:
            _feed_steadily(written, seconds)
            tip = written[-1].number
            wait_for(lambda: set(on.positions().values()) == {tip}, worker)
            time.sleep(2.0)  # for OpenSearch's own refresh
            peak = peak_mb(worker)
        handed = {key: note.begun for note in on.notes() for key in note.keys}
    warm = {one.number for one in written[: len(written) * WARM_SECONDS // seconds]}
    for store, keys in (("PostgreSQL", "revisions"), ("OpenSearch", "searched")):
        delays = [
            _when(seen[store], one.number) - handed[key]
            for one in written
            if one.number not in warm
            for key in getattr(one, keys)
        ]
        for name, value in (("median", median(delays)), ("p99", quantiles(delays, n=100)[98])):
            yield Figure(f"{A_SECOND} revisions a second", f"visible in {store}, {name}", Measured(1, value, peak))


def _count(written: Sequence[Written]) -> int:
    return sum(len(one.records) for one in written)


def feed_all(written: Sequence[Written]) -> None:
    feed(STREAM, (record for one in written for record in one.records))


def _feed_steadily(written: Sequence[Written], seconds: float) -> None:
    client, started, ticks = kinesis(), time.monotonic(), int(seconds / TICK_SECONDS)
    for tick in range(ticks):
        some = written[len(written) * tick // ticks : len(written) * (tick + 1) // ticks]
        put(client, STREAM, (record for one in some for record in one.records))
        time.sleep(max(0.0, started + (tick + 1) * TICK_SECONDS - time.monotonic()))


def _begun(log: Path) -> bool:
    return log.read_text().count('"shard begun"') == 2


Seen = dict[str, list[tuple[int, float]]]


@contextmanager
def _watching(on: Place) -> Iterator[Seen]:
    """Poll from two threads how far each store's read models have come, and when."""
    seen: Seen = {"PostgreSQL": [], "OpenSearch": []}
    stop = threading.Event()

    def watch(store: str, reached: Any, pause: float) -> None:
        last = -1
        while not stop.wait(pause):
            if (block := reached()) > last:
                last = block
                seen[store].append((block, time.time()))

    with psycopg.connect(on.url, autocommit=True) as connection:

        def in_database() -> int:
            rows: dict[str, int] = dict(connection.execute(POSITIONS).fetchall())
            return min((block for name, block in rows.items() if name != SEARCHED), default=-1)

        def in_search() -> int:
            body = {"size": 0, "aggs": {"last": {"max": {"field": "source_block"}}}}
            try:
                value = on.search.search(index=SEARCHED, body=body)["aggregations"]["last"]["value"]
            except NotFoundError:
                return -1
            return int(value) if value is not None else -1

        watchers = [
            threading.Thread(target=watch, args=("PostgreSQL", in_database, 0.005)),
            threading.Thread(target=watch, args=("OpenSearch", in_search, 0.02)),
        ]
        for one in watchers:
            one.start()
        try:
            yield seen
        finally:
            stop.set()
            for one in watchers:
                one.join()


def _when(seen: Sequence[tuple[int, float]], block: int) -> float:
    """Return when that block was reached."""
    return seen[bisect_left(seen, block, key=lambda one: one[0])][1]
