"""Measure a step in a process of its own: rows, seconds, memory."""

import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from strandline.consumer.database.connection import connect
from strandline.consumer.database.embedded import embedded_postgres
from strandline.consumer.database.migrate import migrate
from strandline.journal.garbage import collect_rarely


@dataclass(frozen=True)
class Options:
    """The options of a group: the minimum number of revisions, the journal's forms, and an empty folder."""

    revisions: int
    forms: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class Measured:
    """Rows processed, seconds, and the largest resident memory of any process of the step except PostgreSQL."""

    rows: int
    seconds: float
    peak_mb: int

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


@dataclass(frozen=True)
class Figure:
    """A line of the table: what was measured (`subject`, `step`), and its ratio to `baseline`, if any."""

    subject: str
    step: str
    measured: Measured
    ratio: float | None = None
    baseline: str = ""


def run(step: Callable[..., tuple[int, float]], *arguments: Any, kernel: str | None = None) -> Measured:
    """Run a step, which returns its rows and seconds, in a new process, with the given `kernel` if any."""
    before = os.environ.get("STRANDLINE_KERNEL")
    if kernel is not None:
        os.environ["STRANDLINE_KERNEL"] = kernel  # inherited by the process and its children
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(_measured, step, arguments, kernel).result()
    finally:
        if kernel is not None:
            del os.environ["STRANDLINE_KERNEL"]
            os.environ |= {} if before is None else {"STRANDLINE_KERNEL": before}


def _measured(step: Callable[..., tuple[int, float]], arguments: tuple[Any, ...], kernel: str | None) -> Measured:
    from strandline.journal.decode.kernel import KERNEL

    assert kernel in (None, KERNEL)
    collect_rarely()  # as the command does
    rows, seconds = step(*arguments)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Measured(rows, seconds, peak // 1024)


@contextmanager
def timed() -> Iterator[list[float]]:
    """Give a list whose only element is, after the block, its seconds."""
    seconds = [0.0]
    started = time.perf_counter()
    yield seconds
    seconds[0] = time.perf_counter() - started


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Start an embedded PostgreSQL below `folder`, or use the server of STRANDLINE_TEST_DATABASE_URL."""
    given = os.environ.get("STRANDLINE_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with embedded_postgres(folder / "postgres") as url:
        yield url


@contextmanager
def database(url: str, name: str) -> Iterator[str]:
    """Create a migrated database on a server. It is dropped at the end."""
    name = f"strandline_bench_{name}_{os.getpid()}"
    with connect(url, role=None, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            fresh = make_conninfo(url, dbname=name)
            migrate(fresh)
            yield fresh
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
