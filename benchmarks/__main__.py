"""`make bench`: measure, and print each figure with its ratio to COPY."""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks import steps
from benchmarks.steps import Measured, run
from consumer.database import connect
from consumer.embedded import embedded_postgres
from consumer.migrations import migrate

_REVISIONS_A_BLOCK = 1.65  # of the simulated licence ledger
_COPIES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--revisions", type=int, default=100_000, help="at least this many in the simulated journal")
    parser.add_argument("--forms", nargs="*", default=["ION_BINARY", "ION_TEXT"])
    options = parser.parse_args()
    blocks = int(options.revisions / _REVISIONS_A_BLOCK)
    workers = os.cpu_count() or 1
    table = Table("form", "step", "revisions", "seconds", "a second", "ratio to COPY", "peak MB", title="Strandline")
    with tempfile.TemporaryDirectory(prefix="strandline-bench-") as folder:
        for form in options.forms:
            for step, measured, ratio in measure(Path(folder) / form, form, blocks, workers):
                table.add_row(
                    form, step, f"{measured.rows:,}", f"{measured.seconds:.2f}", f"{measured.rate:,.0f}",
                    f"{ratio:.3f}", str(measured.peak_mb),
                )  # fmt: skip
    Console().print(table)


def measure(folder: Path, form: str, blocks: int, workers: int) -> Iterator[tuple[str, Measured, float]]:
    journal = str(folder / "journal")
    run(steps.make_journal, journal, blocks, form)
    full = str(folder / "journal" / "full")
    with database(folder) as url:
        migrate(url)
        replayed = run(steps.replay, full, url)
        results = [
            ("verify an export", run(steps.verify_alone, full, workers)),
            ("replay", replayed),
            ("verify the store", run(steps.verify_in_store, url, workers)),
            ("project licence_register", run(steps.project_one, url, "licence_register")),
        ]
        baseline = str(folder / "baseline.copy")
        rows = run(steps.save_baseline, url, baseline).rows
        copies = [run(steps.copy_baseline, url, baseline, rows) for _ in range(_COPIES)]
    copy = median(measured.rate for measured in copies)
    yield "COPY", next(measured for measured in copies if measured.rate == copy), 1.0
    for step, measured in results:
        yield step, measured, measured.rate / copy


@contextmanager
def database(home: Path) -> Iterator[str]:
    """A fresh embedded PostgreSQL, or a fresh database on the server of STRANDLINE_TEST_DATABASE_URL."""
    given = os.environ.get("STRANDLINE_TEST_DATABASE_URL")
    if not given:
        with embedded_postgres(home / "postgres") as url:
            yield url
        return
    from psycopg.conninfo import make_conninfo

    name = f"strandline_bench_{os.getpid()}"
    with connect(given, role=None, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield make_conninfo(given, dbname=name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


if __name__ == "__main__":
    main()
