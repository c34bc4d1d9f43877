"""Brings the database's schema up to date: applies the numbered SQL files of `migrations/`, each once, in order."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg
import stamina
from psycopg import errors

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.database.errors import describe_error
from strandline.journal.errors import StrandlineError

LOCK_KEY = int.from_bytes(b"strandl", "big")
ROLES_NUMBER = 1
ROLES_ATTEMPTS = 10
# Roles belong to the server, the lock to one database: another database's migration may make them at the same time.
# PostgreSQL reports "tuple concurrently updated" as an internal error.
COLLISIONS = (
    errors.UniqueViolation,
    errors.DuplicateObject,
    errors.InternalError_,
    errors.DeadlockDetected,
    errors.SerializationFailure,
)

READ_APPLIED = "SELECT number, name, sha256 FROM journal.migration ORDER BY number"
CREATE_RECORD = """
    SET LOCAL ROLE strandline_worker;
    CREATE SCHEMA IF NOT EXISTS journal;
    CREATE TABLE journal.migration (
        number     int PRIMARY KEY,
        name       text NOT NULL,
        sha256     text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )"""
RECORD = "INSERT INTO journal.migration (number, name, sha256) VALUES (%s, %s, %s)"


@dataclass(frozen=True)
class Migration:
    """A migration file; `number` is the start of its name. Number 1 creates the roles."""

    number: int
    name: str
    sql: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql).hexdigest()


def migrate(url: str, folder: Traversable | None = None) -> list[str]:
    """Apply the migrations that are missing, and return their names. Costs one query if none is.

    Safe if several processes start at once. Raises `StrandlineError` if the schema is newer than this Strandline, an
    applied file has changed, the login lacks rights, or a file fails (those before it stay applied).
    """
    known = read_migrations(files("strandline.migrations") if folder is None else folder)
    with _described(), connect(url, role=None, autocommit=True, application_name="strandline migrate") as conn:
        if not _pending(known, _applied(conn)):
            return []
        conn.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        pending = _pending(known, _applied(conn))
        for migration in pending:
            _apply(conn, migration)
        return [migration.name for migration in pending]


def pending_migrations(connection: Connection) -> list[str]:
    """Return the names of the migrations that are missing. Raises `StrandlineError` as `migrate` does.

    The connection must be in autocommit.
    """
    known = read_migrations(files("strandline.migrations"))
    return [migration.name for migration in _pending(known, _applied(connection))]


def read_migrations(folder: Traversable) -> list[Migration]:
    """Return the SQL files of a folder, in the order of their numbers."""
    found = [
        Migration(int(file.name.partition("_")[0]), file.name, file.read_bytes())
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.number)


def _applied(conn: Connection) -> list[tuple[int, str, str]]:
    try:
        return conn.execute(READ_APPLIED).fetchall()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return []


def _pending(known: list[Migration], applied: list[tuple[int, str, str]]) -> list[Migration]:
    by_number = {migration.number: migration for migration in known}
    for number, name, sha256 in applied:
        migration = by_number.pop(number, None)
        if migration is None:
            raise StrandlineError(
                f"The database has migration {name}, which this Strandline does not know: upgrade Strandline."
            )
        if migration.sha256 != sha256:
            raise StrandlineError(
                f"Migration {name} has changed since it was applied to this database: "
                "restore the file as it was, and put the change into a new one."
            )
    return list(by_number.values())


def _apply(conn: Connection, migration: Migration) -> None:
    apply = _apply_roles if migration.number == ROLES_NUMBER else _apply_as_worker
    try:
        apply(conn, migration)
    except errors.InsufficientPrivilege as exc:
        raise StrandlineError(
            f"The database login may not apply migration {migration.name}: it needs CREATEROLE and, with grant "
            "option, CREATE on the database.\nGive it those, or let an administrator run `strandline migrate`."
        ) from exc
    except psycopg.Error as exc:
        raise StrandlineError(f"Migration {migration.name} failed: {describe_error(exc)}") from exc


def _apply_roles(conn: Connection, migration: Migration) -> None:
    """Apply as the login itself: the role that owns all else does not exist before."""
    for attempt in stamina.retry_context(on=COLLISIONS, attempts=ROLES_ATTEMPTS, wait_max=1.0, timeout=None):
        with attempt, conn.transaction():
            conn.execute(migration.sql)
            conn.execute(CREATE_RECORD)
            conn.execute(RECORD, [migration.number, migration.name, migration.sha256])


def _apply_as_worker(conn: Connection, migration: Migration) -> None:
    with conn.transaction():
        conn.execute("SET LOCAL ROLE strandline_worker")
        conn.execute(migration.sql)
        conn.execute(RECORD, [migration.number, migration.name, migration.sha256])


@contextmanager
def _described() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as exc:
        raise describe_error(exc) from exc
