"""Time until another worker resumes after a kill: its shards, and a projector in the middle of a batch."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count

import psycopg

from benchmarks.cloud import Place, place, wait_for
from benchmarks.measuring import Figure, Measured, Options
from benchmarks.worker import Written, written_blocks
from strandline.ledger.publish.kinesis import kinesis, put
from tests.consumer.worker.live import STREAM, Worker

BLOCKS_A_TICK, TICK_SECONDS = 2, 0.1
BLOCKS = 10_000  # enough for eight minutes
NAMES = ("one", "two")
LOOK_SECONDS = 0.25  # the notes have times of their own, so polling adds no error
# A lock on this table blocks a batch of the read model. All read models in OpenSearch share outside_row.
TABLE = {
    "licence_register": "SELECT 'generation.' || relation FROM projection.generation WHERE projection = %s",
    "endorsement_search": "SELECT 'projection.outside_row' WHERE %s <> ''",
}
# The number of sessions that then wait, the intended one among them.
WAITING = {"licence_register": 1, "endorsement_search": 2}
WAITS = "SELECT FROM pg_locks WHERE relation = %s::regclass AND NOT granted"
OWNER = "SELECT split_part(owner, '/', 2)::int, position FROM projection.generation WHERE projection = %s"


def measure(options: Options) -> Iterator[Figure]:
    with place(options.folder / "failover") as on, _writing(written_blocks(BLOCKS)), _Workers(on) as workers:
        for victim in NAMES:
            workers.start_both()
            yield _figure(f"worker {victim} of two is killed", "its shards", _shards_move(on, workers, victim))
        for name in TABLE:
            workers.start_both()
            yield _figure("a worker is killed in a batch", name, _projector_moves(on, workers, name))
        for same in (True, False):
            subject = f"the only worker is killed, its successor has {'its' if same else 'another'} id"
            yield _figure(subject, "its shards", _successor(on, workers, same=same))


class _Workers:
    """The running workers by id, killed at the end of the block."""

    def __init__(self, on: Place) -> None:
        self._on = on
        self._running: dict[str, Worker] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "_Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __getitem__(self, name: str) -> Worker:
        return self._running[name]

    def start(self, name: str) -> Worker:
        self._running[name] = self._stack.enter_context(self._on.worker(name))
        return self._running[name]

    def start_both(self) -> None:
        """Start those that are not running. Returns when each reads a shard."""
        for name in NAMES:
            if name not in self._running:
                self.start(name)
        self._wait_for_readers(set(NAMES))

    def only(self) -> str:
        """Wait until the only worker reads both shards, and return its id."""
        (name,) = self._running
        self._wait_for_readers({name})
        return name

    def by_pid(self, pid: int) -> str:
        return next(name for name, one in self._running.items() if one.process.pid == pid)

    def other(self, name: str) -> str:
        (other,) = self._running.keys() - {name}
        return other

    def kill(self, name: str) -> float:
        """Kill a worker. Returns the POSIX time."""
        killed = time.time()
        self._running.pop(name).kill()
        return killed

    def _wait_for_readers(self, names: set[str]) -> None:
        begun, running = time.time(), next(iter(self._running.values()))

        def read_now() -> bool:
            last = {note.shard: note.worker for note in self._on.notes() if note.begun > begun}
            return len(last) == 2 and set(last.values()) == names

        wait_for(read_now, running, LOOK_SECONDS)


def _shards_move(on: Place, workers: _Workers, victim: str) -> float:
    shards = {note.shard for note in on.notes()[-20:] if note.worker == victim}
    survivor = workers.other(victim)
    killed = workers.kill(victim)
    return _until_read_on(on, survivor, shards, workers[survivor], killed)


def _successor(on: Place, workers: _Workers, *, same: bool) -> float:
    name = workers.only()
    killed = workers.kill(name)
    successor = name if same else f"not-{name}"
    return _until_read_on(on, successor, {note.shard for note in on.notes()}, workers.start(successor), killed)


def _projector_moves(on: Place, workers: _Workers, name: str) -> float:
    with psycopg.connect(on.url, autocommit=True) as watching, psycopg.connect(on.url) as locking:
        (table,) = watching.execute(TABLE[name].encode(), [name]).fetchone() or ("",)
        locking.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        wait_for(lambda: watching.execute(WAITS, [table]).rowcount >= WAITING[name], workers[NAMES[0]])
        pid, position = watching.execute(OWNER, [name]).fetchone() or (0, 0)
        victim = workers.by_pid(pid)
        survivor = workers[workers.other(victim)]
        killed = workers.kill(victim)
        locking.rollback()
        return wait_for(lambda: on.positions()[name] > position, survivor) - killed


def _until_read_on(on: Place, name: str, shards: set[str], worker: Worker, killed: float) -> float:
    """Return the seconds until that worker received records of each of the shards."""

    def first() -> dict[str, float]:
        found: dict[str, float] = {}
        for note in on.notes():
            if note.worker == name and note.shard in shards and note.begun > killed:
                found.setdefault(note.shard, note.begun)
        return found

    wait_for(lambda: first().keys() == shards, worker, LOOK_SECONDS)
    return max(first().values()) - killed


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
