"""How soon another worker goes on when one is killed: its shards, and a projector in the middle of a batch."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import psycopg

from benchmarks.cloud import Place, place, wait_for
from benchmarks.measuring import Figure, Measured, Options
from benchmarks.worker import Written, written_blocks
from consumer.streaming import kinesis, put
from tests.worker.live import STREAM, Worker

BLOCKS = 20_000
BLOCKS_A_TICK, TICK_SECONDS = 3, 0.1
NAMES = ("one", "two")
# Who locks its table holds up a batch of the read model; what then waits calls itself so.
HELD_UP = {
    "licence_register": ("read.licence_register", "strandline licence_register"),
    "endorsement_search": ("projection.outside_row", "strandline outside"),
}
TABLE = "SELECT 'generation.' || relation FROM projection.generation WHERE projection = %s AND state = 'live'"
WAITS = "SELECT FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
OWNER = "SELECT split_part(owner, '/', 2)::int, position FROM projection.generation WHERE projection = %s"


def measure(options: Options) -> Iterator[Figure]:
    written = written_blocks(BLOCKS)
    for victim in NAMES:
        yield _figure(f"worker {victim} of two is killed", "its shards", _shards_move(options.folder, written, victim))
    for again in ("one", "another"):
        subject = f"the only worker is killed, {'its successor has its id' if again == 'one' else 'or another id'}"
        yield _figure(subject, "its shards", _successor(options.folder, written, again))
    for name in HELD_UP:
        yield _figure("a worker is killed in a batch", name, _projector_moves(options.folder, written, name))


def _shards_move(folder: Path, written: Sequence[Written], victim: str) -> float:
    with _running(folder / f"move-{victim}", written, NAMES) as (on, workers):
        survivor = next(name for name in NAMES if name != victim)
        shards = {note.shard for note in on.notes()[-20:] if note.worker == victim}
        workers[victim].kill()
        return _until_read_on(on, survivor, shards, workers[survivor])


def _successor(folder: Path, written: Sequence[Written], again: str) -> float:
    with _running(folder / f"successor-{again}", written, NAMES[:1]) as (on, workers):
        shards = {note.shard for note in on.notes()}
        workers["one"].kill()
        with on.worker(again) as successor:
            return _until_read_on(on, again, shards, successor)


def _projector_moves(folder: Path, written: Sequence[Written], name: str) -> float:
    with _running(folder / name, written, NAMES) as (on, workers):
        wait_for(lambda: on.positions().get(name, -1) > 0, workers["one"])
        with psycopg.connect(on.url, autocommit=True) as watching, psycopg.connect(on.url) as locking:
            table, waits = HELD_UP[name]
            if table.startswith("read."):
                (table,) = watching.execute(TABLE, [name]).fetchone() or ("",)
            locking.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            wait_for(lambda: watching.execute(WAITS, [waits]).rowcount > 0, workers["one"])
            pid, position = watching.execute(OWNER, [name]).fetchone() or (0, 0)
            victim = next(one for one in workers.values() if one.process.pid == pid)
            survivor = next(one for one in workers.values() if one.process.pid != pid)
            victim.kill()
            killed = time.time()
            locking.rollback()
            return wait_for(lambda: on.positions()[name] > position, survivor) - killed


def _until_read_on(on: Place, name: str, shards: set[str], worker: Worker) -> float:
    """Until that worker was handed records of each of the shards."""
    killed = time.time()

    def first() -> dict[str, float]:
        found: dict[str, float] = {}
        for note in on.notes():
            if note.worker == name and note.shard in shards and note.begun > killed:
                found.setdefault(note.shard, note.begun)
        return found

    wait_for(lambda: first().keys() == shards, worker)
    return max(first().values()) - killed


@contextmanager
def _running(
    folder: Path, written: Sequence[Written], names: Sequence[str]
) -> Iterator[tuple[Place, dict[str, Worker]]]:
    """Workers that share two shards, while a ledger writes."""
    with ExitStack() as stack:
        on = stack.enter_context(place(folder))
        stack.enter_context(_writing(written))
        workers = {name: stack.enter_context(on.worker(name)) for name in names}
        for name, one in workers.items():
            wait_for(lambda name=name: name in {lease.get("leaseOwner") for lease in on.cloud.leases().values()}, one)
        last = workers[names[-1]]
        begun = len(on.notes())
        wait_for(lambda: {note.worker for note in on.notes()[begun:]} == set(names), last)
        yield on, workers


@contextmanager
def _writing(written: Sequence[Written]) -> Iterator[None]:
    client, stop = kinesis(), threading.Event()

    def write() -> None:
        for tick in count():
            if stop.wait(TICK_SECONDS):
                return
            some = written[tick * BLOCKS_A_TICK : (tick + 1) * BLOCKS_A_TICK]
            put(client, STREAM, (record for one in some for record in one.records))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _figure(subject: str, step: str, seconds: float) -> Figure:
    return Figure(subject, step, Measured(1, seconds, 0))
