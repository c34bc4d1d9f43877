"""What is measured. Each step runs in a process of its own, so that its memory is its own."""

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumer.database import connect
from consumer.generations import project
from consumer.projection import discover
from consumer.replay import take_in
from consumer.settings import Settings
from consumer.verification import verify_sources, verify_store
from journal.export_writer import Format
from journal.simulate import simulate
from journal.source import local_sources

BASELINE = "document_id text, version int, table_id text, sequence_no bigint, hash bytea, data jsonb"
_BASELINE_ROWS = """
    COPY (SELECT document_id, version::int, table_id, sequence_no, hash, data
          FROM journal.revision ORDER BY sequence_no)
    TO STDOUT (FORMAT binary)
"""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Measured:
    """Rows dealt with, seconds, and the largest resident memory of any process of the step, PostgreSQL apart."""

    rows: int
    seconds: float
    peak_mb: int

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


def run(step: Callable[..., tuple[int, float]], *arguments: Any) -> Measured:
    """Run a step in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measured, step, *arguments).result()


def _measured(step: Callable[..., tuple[int, float]], *arguments: Any) -> Measured:
    rows, seconds = step(*arguments)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Measured(rows, seconds, peak // 1024)


@contextmanager
def _timed() -> Iterator[list[float]]:
    seconds = [0.0]
    started = time.perf_counter()
    yield seconds
    seconds[0] = time.perf_counter() - started


def make_journal(folder: str, blocks: int, form: str) -> tuple[int, float]:
    with _timed() as seconds:
        made = simulate(Path(folder), blocks, seed=1, format=Format(form))
    return made.revisions, seconds[0]


def verify_alone(folder: str, workers: int) -> tuple[int, float]:
    with _timed() as seconds:
        found = verify_sources(local_sources(folder), workers=workers)
    assert found.ok
    return found.revisions, seconds[0]


def replay(folder: str, url: str) -> tuple[int, float]:
    with _timed() as seconds:
        done = take_in(url, local_sources(folder), Settings())
    assert done.mark == done.blocks - 1
    return done.revisions, seconds[0]


def verify_in_store(url: str, workers: int) -> tuple[int, float]:
    with _timed() as seconds:
        found = verify_store(url, workers=workers)
    assert found.ok
    return found.revisions, seconds[0]


def project_one(url: str, name: str) -> tuple[int, float]:
    """Rows: the revisions of the projection's own tables, which are those that it reads."""
    projection = discover(("projections",))[name]
    with _timed() as seconds:
        project(url, {name: projection})
    with connect(url) as connection:
        (rows,) = connection.execute(
            "SELECT count(*) FROM journal.revision WHERE table_name = ANY(%s)", [list(projection.tables)]
        ).fetchone() or (0,)
    return rows, seconds[0]


def save_baseline(url: str, path: str) -> tuple[int, float]:
    """The same revisions as rows, in COPY's binary form, in a file."""
    with _timed() as seconds, connect(url) as connection, Path(path).open("wb") as file:
        with connection.cursor() as cursor, cursor.copy(_BASELINE_ROWS) as copy:
            for data in copy:
                file.write(data)
        (rows,) = connection.execute("SELECT count(*) FROM journal.revision").fetchone() or (0,)
    return rows, seconds[0]


def copy_baseline(url: str, path: str, rows: int) -> tuple[int, float]:
    """One binary COPY, in one transaction, into a table with a primary key."""
    with connect(url) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS baseline")
        connection.execute("DROP TABLE IF EXISTS baseline.revision")
        connection.execute(f"CREATE TABLE baseline.revision ({BASELINE}, PRIMARY KEY (document_id, version))")
        connection.commit()
        with (
            _timed() as seconds,
            connection.transaction(),
            Path(path).open("rb") as file,
            connection.cursor() as cursor,
            cursor.copy("COPY baseline.revision FROM STDIN (FORMAT binary)") as copy,
        ):
            while data := file.read(_CHUNK):
                copy.write(data)
        connection.execute("DROP SCHEMA baseline CASCADE")
    return rows, seconds[0]
