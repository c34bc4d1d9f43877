"""kill -9 of the worker, of KCL's daemon and of a shard's process, while two workers take a stream in: each is started
again, as a supervisor does. In the end the stores must contain what was written."""

import json
import math
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from threading import Event, Thread

import psutil
from opensearchpy import OpenSearch

from strandline.consumer.verification.verify import verify_store
from strandline.consumer.worker.daemon import SHARD_MODULE
from tests.consumer.worker.live import STREAM, Cloud, Worker, family
from tests.databases import migrated_database
from tests.emulators import emulators
from tests.opensearch.node import node_of_its_own
from tests.soak.ledger_model import strings
from tests.soak.load import BLOCKS_A_SECOND, Load
from tests.soak.outcome import Outcome, compared
from tests.soak.server import server
from tests.soak.store_contents import StoreContents

TARGETS = ("child", "daemon", "worker")
# The machine may be busy with other work.
PATIENCE = 600.0
DRAIN_SECONDS = 120
LAST_SHARE, LAST_SECONDS = 0.2, 120.0  # of the time, for stopping and comparing
BETWEEN = 1.0, 8.0  # seconds of undisturbed work before the next kill
MOST_TOLD = 10
# Killed; or its daemon has ended, and so it ends by itself.
STATUSES = {-signal.SIGKILL, 1}


def worker(seconds: float, seed: int) -> Outcome:
    """Kill, wait until everything written before is in every read model, kill again; in the end, compare."""
    end, random = time.monotonic() + seconds, Random(seed)
    until = end - min(LAST_SECONDS, seconds * LAST_SHARE)
    with _stage(seed, most_blocks=math.ceil(seconds * BLOCKS_A_SECOND * 2) + 1_000) as stage:
        stage.load.start()
        stage.wait_for(lambda: stage.stores.position() > 0)
        took = []
        while not took or time.monotonic() < until:
            time.sleep(random.uniform(*BETWEEN))
            took.append(stage.seconds_to_recover(random.choice(TARGETS), random))
            assert stage.stores.with_data() == 0
        stage.end()
        _say(f"{stage.load.written.tip + 1} blocks; all was in again {_spread(took)} s after a kill")
        return _outcome(stage)


class Restarted:
    """A worker that is started again whenever it ends."""

    def __init__(self, start: Callable[[], Worker]) -> None:
        self._start = start
        self._stopping = Event()
        self.running = start()
        self.statuses: list[int] = []
        self._thread = Thread(target=self._keep, daemon=True)
        self._thread.start()

    def started(self) -> bool:
        return '"worker started"' in self.running.log_file.read_text()

    def stop(self) -> int | None:
        """End it in order. Returns its exit status."""
        self._let_go()
        return self.running.stop()

    def kill(self) -> None:
        self._let_go()
        if self.running.process.poll() is None:
            self.running.kill()

    def _let_go(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._stopping.wait(0.2):
            if (status := self.running.process.poll()) is not None:
                self.statuses.append(status)
                self.running = self._start()


class Stage:
    """Two workers, the stores that they fill, and the ledger that writes."""

    def __init__(self, load: Load, stores: StoreContents, workers: Sequence[Restarted], folder: Path) -> None:
        self.load, self.stores, self._workers, self._folder = load, stores, workers, folder
        self.kills = 0
        self._doomed: list[psutil.Process] = []  # processes that must end with a killed one

    def seconds_to_recover(self, target: str, random: Random) -> float:
        """Return the seconds from a kill until everything written before it is in every read model."""
        started, goal = self._kill(target, random)
        self.wait_for(lambda: self.stores.position() >= goal)
        return time.monotonic() - started

    def _kill(self, target: str, random: Random) -> tuple[float, int]:
        """Kill a process. Returns when, and the block up to which everything had been sent."""
        while True:
            kept, victim = self._choose(target, random)
            doomed = [*filter(_runs, self._doomed), *family(kept.running)]
            started, goal = time.monotonic(), self.load.sent
            with suppress(psutil.NoSuchProcess):  # it belonged to an earlier victim, and ended since it was chosen
                victim.kill()
                self._doomed = doomed
                self.kills += 1
                _say(f"kill -9 of a {target} at block {goal}")
                return started, goal

    def _choose(self, target: str, random: Random) -> tuple[Restarted, psutil.Process]:
        """Choose a running process of either worker; waits for one."""
        found: list[tuple[Restarted, psutil.Process]] = []

        def look() -> bool:
            found[:] = [(one, process) for one in self._workers for process in _targets(target, one)]
            return bool(found)

        self.wait_for(look)
        return random.choice(found)

    def end(self) -> None:
        """Complete the stream, wait until all of it is in the read models, and stop the workers."""
        self.load.stop()
        self.wait_for(lambda: not any(map(_runs, self._doomed)) and all(one.started() for one in self._workers))
        self.wait_for(lambda: self.stores.position() == self.load.written.tip and not self.stores.redactions_open())
        for one in self._workers:
            assert one.stop() == 0, self._logs()

    def wait_for(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not what():
            self.load.check()
            statuses = [status for one in self._workers for status in one.statuses]
            assert set(statuses) <= STATUSES, (statuses, self._logs())
            assert len(statuses) <= self.kills, self._logs()
            assert time.monotonic() < deadline, self._logs()
            time.sleep(0.1)

    def logged(self) -> Iterator[str]:
        """Every line of every worker."""
        for file in sorted(self._folder.glob("*.log")):
            yield from file.read_text().splitlines()

    def _logs(self) -> str:
        return "\n".join(one.running.log_file.read_text()[-3_000:] for one in self._workers)


@contextmanager
def _stage(seed: int, most_blocks: int) -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="strandline-soak-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = stack.enter_context(migrated_database(*stack.enter_context(server())))
        (folder / "node").mkdir()
        node = stack.enter_context(node_of_its_own(folder / "node"))
        search = OpenSearch(hosts=[node.url], timeout=30, max_retries=0)
        stack.callback(search.close)
        cloud = Cloud(stack.enter_context(emulators()))
        stack.enter_context(_environment(cloud.environment))
        settings = {"STRANDLINE_OPENSEARCH_URL": node.url, "STRANDLINE_DRAIN_SECONDS": str(DRAIN_SECONDS)}
        workers = []
        for name in ("one", "two"):
            made = Restarted(partial(Worker, cloud, url, folder, name, **settings))
            stack.callback(made.kill)
            workers.append(made)
        stores = StoreContents(url, search)
        yield Stage(Load(STREAM, seed, most_blocks, stores.position), stores, workers, folder)


@contextmanager
def _environment(given: Mapping[str, str]) -> Iterator[None]:
    """For the client that feeds the stream."""
    before = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _targets(target: str, one: Restarted) -> list[psutil.Process]:
    members = family(one.running)
    if target == "worker":
        return members[:1]
    return [process for process in members[1:] if _runs(process) and _is_shard(process) == (target == "child")]


def _is_shard(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return SHARD_MODULE in process.cmdline()
    return False


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _outcome(stage: Stage) -> Outcome:
    written, stores = stage.load.written, stage.stores
    assert stores.rejected() == 0
    _say("compares")
    verified = verify_store(stores.url, workers=1)
    assert verified.ok, verified.faults
    assert verified.digest == written.digest()
    _check_logs(stage)
    withheld, texts = written.withheld(), stores.texts()
    back = {key for text, key in withheld.items() if text in texts}
    expected, found = written.expected(), stores.rows()
    for name in expected:
        for what, one, other in (("lost", expected, found), ("duplicated", found, expected)):
            for row in list((Counter(one[name]) - Counter(other[name])).elements())[:MOST_TOLD]:
                _say(f"{what} in {name}: {row}")
    return compared(expected, found, kills=stage.kills, resurrected=len(back))


def _check_logs(stage: Stage) -> None:
    """Every line is JSON, and no word in it is one of the data's."""
    words = {word for line in stage.logged() for text in strings(json.loads(line)) for word in text.split()}
    data = {text for one in stage.load.written.revisions.values() for text in strings(one.data)}
    assert not words & data


def _spread(seconds: Sequence[float]) -> str:
    return f"{min(seconds):.0f} to {max(seconds):.0f} (median {statistics.median(seconds):.0f})"


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} worker: {text}\n")
    sys.stderr.flush()
