"""One export: a read model as of one snapshot, registered before a row leaves the database."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import psycopg
from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.exports.parquet import require_parquet, write_parquet
from strandline.consumer.exports.parts import Parts
from strandline.consumer.exports.place import place
from strandline.consumer.exports.register import complete, forget, register
from strandline.consumer.exports.text import write_csv, write_json_lines
from strandline.journal.errors import StrandlineError, UsageError

Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = ("parquet", "csv", "jsonl")

# Before the snapshot: a cut-over would leave a view over a table that the snapshot shows empty.
LOCK = "LOCK TABLE {view} IN ACCESS SHARE MODE"
EXPORT_SNAPSHOT = "SELECT pg_export_snapshot()"
IS_READ_MODEL = "SELECT state IS NOT NULL, store FROM read.read_models WHERE name = %s"


@dataclass(frozen=True)
class Exported:
    """A complete export."""

    number: int
    read_model: str
    as_of_block: int
    place: str
    rows: int


def export_model(
    url: str,
    name: str,
    address: str,
    *,
    keep: timedelta | None = None,
    rows_per_file: int | None = None,
    overwrite: bool = False,
) -> Exported:
    """Export a read model in PostgreSQL with the rights of the URL's login.

    `keep` is the time after which `status` asks to delete it. With `rows_per_file`, the address is of a folder.
    Raises `UsageError` or `StrandlineError`; then nothing is at the address that was not there before.
    """
    format_ = _format(address)
    if format_ == "parquet":
        require_parquet()
    target = place(address)
    if target.exists() and not overwrite:
        raise UsageError(f"{address} exists already: give another name, or --overwrite.")
    view = Identifier("read", name)
    with _snapshot(url, name, view) as (connection, snapshot):
        number, block = register(url, snapshot, name, target.address, keep)
        try:
            with target.staged(number) as path:
                parts = Parts(path, f".{format_}", rows_per_file)
                rows = _write(format_, connection, url, snapshot, view, parts, {"as_of_block": str(block)})
        except BaseException:
            # A kill leaves it in the register, unfinished: its partial file may be there.
            with suppress(StrandlineError, psycopg.Error):
                forget(url, number)
            raise
    complete(url, number, rows)
    return Exported(number, name, block, target.address, rows)


@contextmanager
def _snapshot(url: str, name: str, view: Identifier) -> Iterator[tuple[Connection, str]]:
    """Give a connection whose transaction keeps a snapshot of the view, and the name by which others take it."""
    with connect(url, role=None, application_name="strandline export") as connection:
        _check_name(connection, name)
        connection.rollback()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            try:
                connection.execute(SQL(LOCK).format(view=view))
            except psycopg.errors.InsufficientPrivilege:
                raise StrandlineError(f"This login may not read {name}: it is for cleared readers.") from None
            (snapshot,) = connection.execute(EXPORT_SNAPSHOT).fetchone() or ("",)
            yield connection, snapshot


def _check_name(connection: Connection, name: str) -> None:
    try:
        row = connection.execute(IS_READ_MODEL, [name]).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        raise StrandlineError("This login may not read the read models: it needs a reader's role.") from None
    if row is None:
        names = "`strandline sql 'SELECT name FROM read.read_models'`"
        raise UsageError(f"There is no read model {name}: see {names}; `strandline project` fills missing ones.")
    if row[1] != "postgresql":
        raise UsageError(f"The read model {name} is in OpenSearch: only those in PostgreSQL can be exported.")


def _write(
    format_: Format,
    connection: Connection,
    url: str,
    snapshot: str,
    view: Identifier,
    parts: Parts,
    facts: dict[str, str],
) -> int:
    if format_ == "parquet":
        return write_parquet(connection, url, snapshot, view, parts, facts)
    return (write_csv if format_ == "csv" else write_json_lines)(connection, view, parts)


def _format(address: str) -> Format:
    suffix = Path(address).suffix.removeprefix(".")
    for one in FORMATS:
        if suffix == one:
            return one
    raise UsageError(f"{address}: write a name that ends in .{', .'.join(FORMATS)}.")
