"""QLDB's drivers for Python and Node.js against `strandline serve qldb`: operations a second, beside psycopg's.

Needs the drivers of `make test-drivers`; without them the group measures nothing. The baseline does the same work by
plain SQL through psycopg, in tables with the same index.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from benchmarks.measuring import Figure, Measured, Options, database, run, server, timed
from strandline.consumer.database.connection import connect
from strandline.ledger import Ledger
from strandline.ledger.reading import BY_VALUE

ROOT = Path(__file__).parents[1]
DRIVERS = {
    "pyqldb": (str(ROOT / ".venv-drivers/bin/python"), str(ROOT / "benchmarks/drivers_client.py")),
    "Node.js": ("node", str(ROOT / "tests/drivers/node/measure.js")),
}
WORKS = ("look-up", "insert", "transfer")
CLIENTS = (1, 16)
SECONDS = 2.0
DOCUMENTS = 1_000


def measure(options: Options) -> Iterator[Figure]:
    """Measure look-ups, inserts and transfers by 1 and 16 clients of each driver. The ratio is to plain SQL."""
    if not Path(DRIVERS["pyqldb"][0]).exists():
        return
    with server(options.folder) as server_url, database(server_url, "drivers") as url:
        _prepare(url)
        sql, statements = run(sql_look_ups, url), run(statement_look_ups, url)
        yield Figure("in a transaction", "look-up by SQL", sql, 1.0)
        yield Figure("in a transaction", "look-up by PartiQL", statements, statements.rate / sql.rate, "SQL")
        with _serving(url, options.folder) as address:
            for clients in CLIENTS:
                for work in WORKS:
                    plain = _plain(url, work, clients)
                    yield from _figures("psycopg", work, clients, plain, None)
                    for name, command in DRIVERS.items():
                        done = subprocess.run(
                            [*command, address, work, str(clients), str(SECONDS)],
                            check=True, capture_output=True, text=True, env=_environment(),
                        )  # fmt: skip
                        yield from _figures(name, work, clients, json.loads(done.stdout), plain)


def _figures(name: str, work: str, clients: int, took: list[float], plain: list[float] | None) -> Iterator[Figure]:
    cuts = quantiles(took, n=100) if len(took) > 1 else [0.0] * 99
    step = f"{work}: p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms"
    ratio = None if plain is None else len(took) / len(plain)
    yield Figure(f"{name}, {clients}", step, Measured(len(took), SECONDS, 0), ratio, "psycopg" if plain else "")


def _prepare(url: str) -> None:
    """Make the same documents in the ledger and in a table."""
    with Ledger(url) as ledger:
        for text in ("CREATE TABLE Account", "CREATE INDEX ON Account (name)"):
            with ledger.begin() as transaction:
                list(transaction.execute(text))
                transaction.commit()
        for start in range(0, DOCUMENTS, 40):
            documents = [{"name": f"a{n}", "balance": 1000} for n in range(start, min(start + 40, DOCUMENTS))]
            with ledger.begin() as transaction:
                list(transaction.execute("INSERT INTO Account ?", documents))
                transaction.commit()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE public.account (name text, balance int)")
        connection.execute("CREATE INDEX ON public.account (name)")
        rows = "SELECT 'a' || n, 1000 FROM generate_series(0, %s) AS n"
        connection.execute(f"INSERT INTO public.account {rows}", [DOCUMENTS - 1])


def statement_look_ups(url: str) -> tuple[int, float]:
    """Look documents up by an index, in one open transaction."""
    with Ledger(url) as ledger, ledger.begin(600) as transaction:
        text = "SELECT * FROM Account WHERE name = ?"
        list(transaction.execute(text, "a0"))
        with timed() as seconds:
            for number in range(DOCUMENTS):
                assert list(transaction.execute(text, f"a{number}"))
    return DOCUMENTS, seconds[0]


def sql_look_ups(url: str) -> tuple[int, float]:
    """Send the SQL that those statements become."""
    with connect(url) as connection:
        found = connection.execute(
            "SELECT table_id, sequence_no FROM journal.user_table, journal.mark WHERE name = 'Account'"
        ).fetchone()
        assert found is not None
        table_id, end = found
        with timed() as seconds:
            for number in range(DOCUMENTS):
                named = {"table": table_id, "field": "name", "value": Jsonb(f"a{number}"), "end": end}
                connection.execute(BY_VALUE, named).fetchall()
    return DOCUMENTS, seconds[0]


@contextmanager
def _serving(url: str, folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "strandline.cli", "serve", "qldb", "--json", "--listen", "127.0.0.1:0"]
    environment = {**os.environ, "STRANDLINE_DATABASE_URL": url, "STRANDLINE_HOME": str(folder)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        said = b"".join(iter(process.stdout.readline, b"}\n")) + b"}"
        try:
            yield json.loads(said)["url"]
        finally:
            process.terminate()
            process.wait(60)


def _environment() -> dict[str, str]:
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "eu-west-2"}
    return {**os.environ, **keys}


def _plain(url: str, work: str, clients: int) -> list[float]:
    """Do the work by plain SQL, serializable as the ledger's transactions are. Returns the seconds of each."""
    took: list[float] = []
    ends = time.monotonic() + SECONDS

    def client(number: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
            turn = 0
            while time.monotonic() < ends:
                begun = time.monotonic()
                _retried(connection, _PLAIN[work], number * 7919 + turn)
                took.append(time.monotonic() - begun)
                turn += 1

    threads = [threading.Thread(target=client, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def _retried(connection: Any, work: Callable[[Any, int], None], number: int) -> None:
    while True:
        try:
            with connection.transaction():
                work(connection, number)
            return
        except psycopg.errors.SerializationFailure:
            continue


def _look_up(connection: Any, number: int) -> None:
    connection.execute("SELECT * FROM public.account WHERE name = %s", [f"a{number % DOCUMENTS}"]).fetchall()


def _insert(connection: Any, number: int) -> None:
    connection.execute("INSERT INTO public.account VALUES (%s, %s)", [f"n{number}", number])


def _transfer(connection: Any, number: int) -> None:
    for name, amount in ((f"a{number % DOCUMENTS}", -1), (f"a{(number * 5 + 1) % DOCUMENTS}", 1)):
        row = connection.execute("SELECT balance FROM public.account WHERE name = %s", [name]).fetchone()
        connection.execute("UPDATE public.account SET balance = %s WHERE name = %s", [row[0] + amount, name])


_PLAIN = {"look-up": _look_up, "insert": _insert, "transfer": _transfer}
