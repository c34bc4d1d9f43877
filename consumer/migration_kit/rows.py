"""Reads rows of a table that AWS's migration kit wrote: from PostgreSQL, CSV or JSON lines.

Of the kit's columns, `ql_audit` is the only one that every user's tables have (docs/qldb-formats.md, "AWS's migration
kit").
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from strandline.journal.errors import StrandlineError, UsageError

AUDIT = "ql_audit"
_BATCH = 1_000
_OF_AUDIT_LOG = frozenset(("operation", "transaction_id", "old_row_data"))
_MOST_FIELD = 1_000_000  # characters of a CSV field


@dataclass(frozen=True, slots=True)
class KitRow:
    """A row: its number from 1, the members of its ql_audit, and its other columns."""

    number: int
    audit: Mapping[str, Any]
    columns: Mapping[str, Any]

    @property
    def document_id(self) -> str:
        return str(self.audit["ql_id"])

    @property
    def version(self) -> int:
        return int(self.audit["ql_v"])


def is_url(source: str) -> bool:
    """Return True for the URL of a PostgreSQL database."""
    return source.startswith(("postgresql://", "postgres://"))


def is_audit_log(columns: Mapping[str, Any]) -> bool:
    """Return True if columns are those of the kit's `T_audit_log`, which holds every revision."""
    return "operation" in columns


def read_rows(source: str, table: str | None) -> Iterator[KitRow]:
    """Yield the rows of a table in a database, or of a file (`.csv`, otherwise JSON lines).

    Raises UsageError if the source cannot be opened, StrandlineError for a row without a usable ql_audit; neither holds
    a value of a row.
    """
    if is_url(source):
        if table is None:
            raise UsageError("name the table with --table: `--table dmv.person`")
        rows = _table_rows(source, table)
    else:
        rows = _file_rows(Path(source))
    for number, row in enumerate(rows, 1):
        yield _row(number, row)


def _row(number: int, row: Mapping[str, Any]) -> KitRow:
    audit = row.get(AUDIT)
    if isinstance(audit, str):
        try:
            audit = json.loads(audit)
        except ValueError:
            audit = None
    if not isinstance(audit, Mapping) or not isinstance(audit.get("ql_id"), str):
        raise StrandlineError(f"row {number}: has no column {AUDIT} as the migration kit writes it")
    version = audit.get("ql_v")
    if not isinstance(version, int) or isinstance(version, bool):
        raise StrandlineError(f"row {number}: ql_v in {AUDIT} is not a number")
    return KitRow(number, audit, {name: value for name, value in row.items() if name != AUDIT})


def _table_rows(url: str, table: str) -> Iterator[Mapping[str, Any]]:
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            connection.read_only = True
            with connection.cursor("kit", row_factory=dict_row) as cursor:
                cursor.itersize = _BATCH
                cursor.execute(SQL("SELECT * FROM {}").format(Identifier(*table.split("."))))
                yield from cursor
    except psycopg.errors.UndefinedTable:
        raise UsageError(f"the database has no table {table}; name it with its schema") from None
    except psycopg.errors.InsufficientPrivilege:
        raise UsageError(f"the login may not read the table {table}") from None
    except psycopg.OperationalError as error:
        raise UsageError(f"the database cannot be reached ({type(error).__name__}): check its URL") from None


def _file_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _csv_rows(file, path) if path.suffix == ".csv" else _json_rows(file, path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None


def _csv_rows(file: Iterator[str], path: Path) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(_MOST_FIELD)
    rows = csv.DictReader(file)
    if AUDIT not in (rows.fieldnames or ()):
        raise UsageError(f"{path}: its first line does not name a column {AUDIT}")
    try:
        for row in rows:
            yield {name: value or None for name, value in row.items() if name is not None}
    except csv.Error:
        raise UsageError(f"{path}, line {rows.line_num}: not CSV") from None


def _json_rows(file: Iterator[str], path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_float=Decimal)
        except (ValueError, ArithmeticError, RecursionError):
            raise UsageError(f"{path}, line {number}: not a JSON object a line") from None
        if not isinstance(row, Mapping):
            raise UsageError(f"{path}, line {number}: not a JSON object")
        yield row


def data_columns(row: KitRow) -> dict[str, Any]:
    """Return the columns that hold data: neither the document's id and version nor those of an audit log."""
    return {
        name: value
        for name, value in row.columns.items()
        if name not in _OF_AUDIT_LOG and name not in ("doc_id", "version")
    }
