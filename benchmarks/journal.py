"""Verify an export, replay it, verify the store, project one read model; with each kernel.

The ratio is to one binary COPY, in one transaction, of the same revisions as rows into the same PostgreSQL.
"""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.measuring import Figure, Measured, Options, database, run, server, timed
from strandline import ComposedProjection, RowProjection
from strandline.consumer.database.connection import connect
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.projection.discovery import discover
from strandline.consumer.settings import Settings
from strandline.consumer.verification.verify import verify_sources, verify_store
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from strandline.journal.sources.source import local_sources

BASELINE = "document_id text, version int, table_id text, sequence_no bigint, hash bytea, data jsonb"
_BASELINE_ROWS = """
    COPY (SELECT document_id, version::int, table_id, sequence_no, hash, data
          FROM journal.revision ORDER BY sequence_no)
    TO STDOUT (FORMAT binary)
"""
_CHUNK = 1 << 20
_REVISIONS_A_BLOCK = 1.65  # of the simulated licence ledger


def measure(options: Options) -> Iterator[Figure]:
    """Measure each form with each kernel that is built."""
    kernels = ["native"] if importlib.util.find_spec("strandline_native") else []
    with server(options.folder) as url:
        for form in options.forms:
            journal = str(options.folder / form)
            run(make_journal, journal, int(options.revisions / _REVISIONS_A_BLOCK), form)
            yield from _of_form(url, form, f"{journal}/full", [*kernels, "python"])


def _of_form(url: str, form: str, export: str, kernels: list[str]) -> Iterator[Figure]:
    workers = os.cpu_count() or 1
    copies: list[Measured] = []
    found: list[tuple[str, str, Measured]] = []
    for kernel in kernels:
        with database(url, kernel) as store:
            baseline = Baseline(store, f"{export}.copy")

            def add(step: str, measured: Measured, kernel: str = kernel, baseline: Baseline = baseline) -> None:
                found.append((kernel, step, measured))
                copies.append(baseline.copy())  # between the steps, since a machine's speed varies

            add("replay", run(replay, export, store, kernel=kernel))
            add("verify an export", run(verify_alone, export, workers, kernel=kernel))
            add("verify the store", run(verify_in_store, store, workers, kernel=kernel))
            add("project licence_register", run(project_one, store, "licence_register", kernel=kernel))
    rate = median(copy.rate for copy in copies)
    yield Figure(form, f"COPY, the median of {len(copies)}", min(copies, key=lambda copy: abs(copy.rate - rate)), 1.0)
    for kernel, step, measured in found:
        yield Figure(f"{form}, {kernel}", step, measured, measured.rate / rate, "COPY")


class Baseline:
    """The revisions of a store as rows in a file, in COPY's binary format, to be copied repeatedly."""

    def __init__(self, url: str, path: str) -> None:
        self._url, self._path, self._rows = url, path, 0

    def copy(self) -> Measured:
        if not self._rows:
            self._rows = run(save_baseline, self._url, self._path).rows
        return run(copy_baseline, self._url, self._path, self._rows)


def checkpoint(url: str) -> None:
    """Write out what earlier steps wrote, so that the next does not pay for it."""
    with connect(url, role=None, autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def make_journal(folder: str, blocks: int, form: str) -> tuple[int, float]:
    with timed() as seconds:
        made = simulate(Path(folder), blocks, seed=1, format=Format(form))
    return made.revisions, seconds[0]


def verify_alone(folder: str, workers: int) -> tuple[int, float]:
    with timed() as seconds:
        found = verify_sources(local_sources(folder), workers=workers)
    assert found.ok
    return found.revisions, seconds[0]


def replay(folder: str, url: str) -> tuple[int, float]:
    checkpoint(url)
    with timed() as seconds:
        done = replay_sources(url, local_sources(folder), Settings())
    assert done.mark == done.blocks - 1
    return done.revisions, seconds[0]


def verify_in_store(url: str, workers: int) -> tuple[int, float]:
    with timed() as seconds:
        found = verify_store(url, workers=workers)
    assert found.ok
    return found.revisions, seconds[0]


def project_one(url: str, name: str) -> tuple[int, float]:
    """Project one read model. Its rows are the revisions that it reads."""
    projection = discover(("strandline.projections",))[name]
    assert isinstance(projection, RowProjection | ComposedProjection), "its rows are counted by table"
    with timed() as seconds:
        project(url, {name: projection})
    with connect(url) as connection:
        (rows,) = connection.execute(
            "SELECT count(*) FROM journal.revision WHERE table_name = ANY(%s)", [list(projection.tables)]
        ).fetchone() or (0,)
    return rows, seconds[0]


def save_baseline(url: str, path: str) -> tuple[int, float]:
    """Save the same revisions as rows in a file, in COPY's binary format."""
    with timed() as seconds, connect(url) as connection, Path(path).open("wb") as file:
        with connection.cursor() as cursor, cursor.copy(_BASELINE_ROWS) as copy:
            for data in copy:
                file.write(data)
        (rows,) = connection.execute("SELECT count(*) FROM journal.revision").fetchone() or (0,)
    return rows, seconds[0]


def copy_baseline(url: str, path: str, rows: int) -> tuple[int, float]:
    """Run one binary COPY, in one transaction, into a table with a primary key."""
    checkpoint(url)
    with connect(url) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS baseline")
        connection.execute("DROP TABLE IF EXISTS baseline.revision")
        connection.execute(f"CREATE TABLE baseline.revision ({BASELINE}, PRIMARY KEY (document_id, version))")
        connection.commit()
        with (
            timed() as seconds,
            connection.transaction(),
            Path(path).open("rb") as file,
            connection.cursor() as cursor,
            cursor.copy("COPY baseline.revision FROM STDIN (FORMAT binary)") as copy,
        ):
            while data := file.read(_CHUNK):
                copy.write(data)
        connection.execute("DROP SCHEMA baseline CASCADE")
    return rows, seconds[0]
