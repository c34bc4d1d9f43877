"""A Dask cluster on the loopback: a scheduler and workers, each a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LISTENING = "Scheduler at:"
JOINED = "Registered to:"
SECONDS = 60


@dataclass
class LocalCluster:
    """The scheduler's address, and the processes of the workers, which have no nanny: a killed one stays dead."""

    address: str
    folder: Path
    environment: Mapping[str, str]
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)

    def start_workers(self, number: int) -> None:
        for index in range(number):
            log = self.folder / f"worker-{index}.log"
            command = ["worker", self.address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
            self.workers.append(_start(command, log, self.environment))
            self.logs.append(log)
        for worker, log in zip(self.workers, self.logs[1:], strict=True):
            _wait(worker, log, JOINED)

    def kill(self, index: int) -> None:
        self.workers[index].send_signal(signal.SIGKILL)
        self.workers[index].wait()

    def logged(self) -> str:
        return "".join(log.read_text() for log in self.logs)


@contextmanager
def local_cluster(folder: Path, environment: Mapping[str, str], workers: int = 2) -> Iterator[LocalCluster]:
    """Run a cluster whose workers have this environment beside that of the test."""
    given = {
        **os.environ,
        **environment,
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3",
        "DASK_TEMPORARY_DIRECTORY": str(folder),
    }
    with ExitStack() as stack:
        log = folder / "scheduler.log"
        command = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        scheduler = _start(command, log, given)
        stack.callback(_end, scheduler)
        _wait(scheduler, log, LISTENING)
        lines = [line for line in log.read_text().splitlines() if LISTENING in line]
        cluster = LocalCluster(lines[0].split()[-1], folder, given)
        cluster.logs.append(log)
        try:
            cluster.start_workers(workers)
            yield cluster
        finally:
            for worker in cluster.workers:
                _end(worker)


def _start(command: list[str], log: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + command[0], *command[1:]],
            env=environment, stdout=out, stderr=out, cwd=Path(__file__).parents[3],
        )  # fmt: skip


def _wait(process: "subprocess.Popen[bytes]", log: Path, ready: str) -> None:
    deadline = time.monotonic() + SECONDS
    while ready not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
