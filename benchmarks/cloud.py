"""The surroundings of the worker's benchmarks: emulators, PostgreSQL, OpenSearch, and workers that log every batch."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from opensearchpy import OpenSearch

from benchmarks.measuring import database, server
from benchmarks.processor import MODULE, NOTES, Note, read_notes
from tests.consumer.worker.live import Cloud, Worker
from tests.emulators import emulators
from tests.opensearch.node import node_of_its_own

PATIENCE = 240.0
POSITIONS = "SELECT projection, position FROM projection.generation WHERE state = 'live'"


@dataclass(frozen=True)
class Place:
    """The services that a worker needs, and an empty folder."""

    cloud: Cloud
    url: str
    search: OpenSearch
    search_url: str
    folder: Path

    @contextmanager
    def worker(self, name: str = "one", processor: str = "worker") -> Iterator[Worker]:
        """Start a worker whose shard processes log every batch. It is killed at the end if it is running."""
        made = Worker(
            self.cloud,
            self.url,
            self.folder,
            name,
            shard=f"{MODULE} {processor}",
            STRANDLINE_OPENSEARCH_URL=self.search_url,
            **{NOTES: str(self.folder / "notes")},
        )
        try:
            yield made
        finally:
            if made.process.poll() is None:
                made.kill()

    def notes(self) -> list[Note]:
        return sorted(read_notes(self.folder / "notes"), key=lambda note: note.begun)

    def mark(self) -> int:
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute("SELECT sequence_no FROM journal.mark").fetchone()
            return int(row[0]) if row else -1

    def positions(self) -> dict[str, int]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return dict(connection.execute(POSITIONS).fetchall())


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """Start the services. Until the block ends, this process's AWS settings are those of the emulators."""
    with ExitStack() as stack:
        for name in ("node", "notes"):
            (folder / name).mkdir(parents=True)
        url = stack.enter_context(database(stack.enter_context(server(folder)), "worker"))
        node = stack.enter_context(node_of_its_own(folder / "node"))
        search = OpenSearch(hosts=[node.url], timeout=30, max_retries=0)
        stack.callback(search.close)
        cloud = Cloud(stack.enter_context(emulators()))
        before = dict(os.environ)
        stack.callback(os.environ.update, before)
        os.environ.update(cloud.environment)
        yield Place(cloud, url, search, node.url, folder)


def wait_for(condition: Callable[[], bool], worker: Worker, pause: float = 0.05) -> float:
    """Wait for a condition. Returns the POSIX time at which it was met."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if worker.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the condition was not met: {worker.log_file.read_text()[-2000:]}")
        time.sleep(pause)
    return time.time()


def peak_mb(worker: Worker) -> int:
    """Return the largest resident memory of the worker, its daemon and its shard processes."""
    itself = psutil.Process(worker.process.pid)
    peaks = [_peak_kb(process.pid) for process in (itself, *itself.children(recursive=True))]
    return max(peaks) // 1024


def _peak_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0
