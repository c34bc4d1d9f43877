"""The command `sql`."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from itertools import islice
from typing import IO, TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import json_escaped, note, say, show_table
from strandline.cli.session import open_reader
from strandline.cli.texts import count
from strandline.journal.errors import StrandlineError, UsageError

if TYPE_CHECKING:
    from strandline.consumer.database.query import Answer

ROWS_SHOWN = 500
JSON_IN_MEMORY = 8 * 1024 * 1024


def sql(
    query: Annotated[str | None, typer.Argument(help="A query that returns rows. Without one, psql starts.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Use all rights of your login. The owner's may change everything.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Query the database, read-only.

    Queries run with the rights of a cleared reader: all read models and schema `ledger`.
    """
    if query is None and as_json:
        raise UsageError("--json needs a QUERY.")
    with open_reader(write=write) as url:
        if query is None:
            return _psql(url)
        from strandline.consumer.database.query import query as ask

        with ask(url, query, write=write) as answer:
            if as_json:
                _print_json(answer)
            else:
                _print_table(answer)
    return 0


def _print_json(answer: "Answer") -> None:
    """Print the complete object or nothing: a query may fail after thousands of rows."""
    with tempfile.SpooledTemporaryFile(JSON_IN_MEMORY, "w+", encoding="utf-8") as file:
        _write_json(answer, file)
        file.seek(0)
        shutil.copyfileobj(file, sys.stdout)


def _write_json(answer: "Answer", file: IO[str]) -> None:
    from strandline.consumer.database.query import json_text

    names = [json_text(name) for name in answer.columns]
    file.write(json_escaped(f'{{"columns": [{", ".join(names)}], "rows": ['))
    for number, row in enumerate(answer.rows):
        members = [f"{name}: {json_text(value)}" for name, value in zip(names, row, strict=True)]
        file.write(json_escaped(f"{',' if number else ''}\n  {{{', '.join(members)}}}"))
    file.write("]}\n")


def _print_table(answer: "Answer") -> None:
    from strandline.consumer.database.query import json_text

    rows = [
        [json_text(value) if isinstance(value, list | bool) else value for value in row]
        for row in islice(answer.rows, ROWS_SHOWN)
    ]
    more = next(answer.rows, None) is not None
    show_table(answer.columns, rows)
    if more:
        note(f"Showing the first {ROWS_SHOWN} rows; --json prints all.")
    elif sys.stdout.isatty():
        say(count(len(rows), "row"))


def _psql(url: str) -> int:
    """Run psql on this terminal. The password goes by the environment, since every user can see arguments."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    from strandline.consumer.database.connection import client_environment
    from strandline.consumer.database.password import encryption, source_for

    program = _find_psql()
    given = conninfo_to_dict(url)
    source = source_for(given)
    given |= encryption(source, given)
    password = given.pop("password", None) if source is None else source.password(given)
    environment = {**os.environ, **client_environment(), "PGAPPNAME": "strandline sql"}
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    # psql handles Ctrl-C: it cancels a query, not the session.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run([program, "--dbname", make_conninfo("", **given)], env=environment, check=False)
    finally:
        signal.signal(signal.SIGINT, before)
    return 0 if done.returncode == 0 else 1


def _find_psql() -> str:
    """Return the embedded PostgreSQL's psql, which is as new as any server, else the one on the PATH."""
    from strandline.consumer.database.embedded_server import bundled_programs

    with suppress(UsageError):
        bundled = bundled_programs() / "psql"
        if bundled.exists():
            return str(bundled)
    program = shutil.which("psql")
    if program is None:
        raise StrandlineError("There is no psql on the PATH: install it, or give a QUERY.")
    return program
