"""The catalogue of ledgers: one ledger, one database. A server's first database holds the catalogue, and a ledger."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.database.migrate import migrate
from strandline.journal.errors import StrandlineError, UsageError

# QLDB's rule (AWS's model `qldb/2019-01-02`, LedgerName and StreamName).
NAME = re.compile(r"(?!.*--)(?![0-9]+$)(?!-)(?!.*-$)[A-Za-z0-9-]{1,32}")

Mode = Literal["ALLOW_ALL", "STANDARD"]
State = Literal["CREATING", "ACTIVE", "DELETING"]

COLUMNS = "name, database, state, created_at, permissions_mode, deletion_protection"
READ = f"SELECT {COLUMNS} FROM control.ledger ORDER BY name"
READ_ONE = f"SELECT {COLUMNS} FROM control.ledger WHERE name = %s"
READ_OWN = f"SELECT {COLUMNS} FROM control.ledger WHERE database IS NULL"
ADD = f"""
    INSERT INTO control.ledger (name, database, state, permissions_mode, deletion_protection)
    VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING {COLUMNS}"""
UPDATE = f"""
    UPDATE control.ledger SET permissions_mode = coalesce(%(mode)s, permissions_mode),
           deletion_protection = coalesce(%(protection)s, deletion_protection)
    WHERE name = %(name)s AND state = 'ACTIVE' RETURNING {COLUMNS}"""
MARK_ACTIVE = f"""
    UPDATE control.ledger SET state = 'ACTIVE' WHERE name = %s AND state = 'CREATING' RETURNING {COLUMNS}"""
# One statement, so that protection cannot be switched on in between.
MARK_DELETING = f"""
    UPDATE control.ledger SET state = 'DELETING'
    WHERE name = %s AND state = 'ACTIVE' AND database IS NOT NULL AND NOT deletion_protection RETURNING {COLUMNS}"""
FORGET = "DELETE FROM control.ledger WHERE name = %s AND state = 'DELETING'"
FORGET_TAGS = """
    DELETE FROM control.tag WHERE resource = 'ledger/' || %(name)s
    OR starts_with(resource, 'ledger/' || %(name)s || '/') OR starts_with(resource, 'stream/' || %(name)s || '/')"""
EXISTS = "SELECT FROM pg_database WHERE datname = %s"
MADE_AS = "INSERT INTO control.made_as (name) VALUES (%s) ON CONFLICT DO NOTHING"
READ_MADE_AS = "SELECT name FROM control.made_as"
LOCK = "SELECT pg_try_advisory_lock(hashtext('strandline ledger'), hashtext(%s))"


class LedgerExists(StrandlineError):
    """The catalogue has a ledger of this name already."""


class Protected(StrandlineError):
    """The ledger may not be deleted."""


@dataclass(frozen=True, slots=True)
class CataloguedLedger:
    """A ledger of the catalogue. `database` is None for the one that the catalogue's own database holds."""

    name: str
    database: str | None
    state: State
    created_at: datetime
    permissions_mode: Mode
    deletion_protection: bool

    def url(self, home: str) -> str:
        """Return the URL of its database; `home` is that of the catalogue's."""
        return home if self.database is None else make_conninfo(home, dbname=self.database)


def read_ledgers(connection: Connection) -> list[CataloguedLedger]:
    """Return the ledgers by name."""
    with connection.transaction():
        return [CataloguedLedger(*row) for row in connection.execute(READ)]


def read_ledger(connection: Connection, name: str) -> CataloguedLedger | None:
    return _one(connection, READ_ONE, [name])


def ledger_url(home: str, name: str) -> str:
    """Return the URL of a ledger's database. Raises UsageError if the catalogue has no such ledger in use."""
    with connect(home) as connection:
        try:
            found = read_ledger(connection, name)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            found = None
    if found is None or found.state != "ACTIVE":
        state = "There is no ledger" if found is None else f"It is {found.state}: ledger"
        raise UsageError(
            f"{state} {name}: `strandline ledger list` shows them, `strandline ledger create {name}` makes it."
        )
    return found.url(home)


def name_own(connection: Connection, name: str) -> CataloguedLedger:
    """Return the ledger of this name; if there is none, the catalogue's own database gets it as its ledger's name.

    Raises UsageError if its ledger has another name, or for a name that QLDB would not take.
    """
    check_name(name)
    with connection.transaction():
        _one(connection, ADD, [name, None, "ACTIVE", "ALLOW_ALL", True])
        found = read_ledger(connection, name)
        own = _one(connection, READ_OWN, [])
    if found is None:
        assert own is not None
        raise UsageError(
            f"There is no ledger {name}, and this database's own is named {own.name}: "
            f"`strandline ledger create {name}` makes one."
        )
    return found


def add_ledger(connection: Connection, name: str, mode: Mode, *, deletion_protection: bool) -> CataloguedLedger:
    """Add a ledger of state CREATING to the catalogue; `finish` makes its database. Raises LedgerExists, UsageError."""
    check_name(name)
    # A name of its own each time: a database of this name is this ledger's, whenever it is found.
    own = str(conninfo_to_dict(connection.info.dsn).get("dbname", ""))[:20]
    database = f"{own}_{name}_{secrets.token_hex(4)}"
    added = _one(connection, ADD, [name, database, "CREATING", mode, deletion_protection])
    if added is None:
        raise LedgerExists(f"There is a ledger {name} already.")
    return added


def update_ledger(
    connection: Connection, name: str, *, mode: Mode | None = None, deletion_protection: bool | None = None
) -> CataloguedLedger | None:
    """Change a ledger that is active; None if there is none."""
    return _one(connection, UPDATE, {"name": name, "mode": mode, "protection": deletion_protection})


def delete_ledger(connection: Connection, name: str) -> CataloguedLedger:
    """Mark a ledger as DELETING; `finish` drops its database. Raises Protected."""
    found = _one(connection, MARK_DELETING, [name])
    if found is None:
        ledger = read_ledger(connection, name)
        if ledger is not None and ledger.database is None:
            raise Protected(f"Ledger {name} shares its database with the catalogue of ledgers, so it is not deleted.")
        if ledger is not None and ledger.state != "ACTIVE":
            raise Protected(f"Ledger {name} is {ledger.state}: wait until a server, or `ledger create`, has made it.")
        raise Protected(f"Ledger {name} is protected from deletion: switch its deletion protection off first.")
    return found


def finish(home: str, ledger: CataloguedLedger) -> CataloguedLedger | None:
    """Make the database of a ledger that is CREATING, or drop that of one that is DELETING.

    Returns the ledger as it is then, None if it is gone or another process is at work on it. Safe to repeat after a
    crash. Raises StrandlineError.
    """
    if ledger.database is None or ledger.state == "ACTIVE":
        return ledger
    with connect(home, role=None, autocommit=True, application_name="strandline ledgers") as connection:
        if connection.execute(LOCK, [ledger.name]).fetchone() != (True,):
            return None
        current = read_ledger(connection, ledger.name)
        if current is None or current.database != ledger.database or current.state == "ACTIVE":
            return current
        if current.state == "CREATING":
            return _create(connection, home, current, ledger.database)
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(ledger.database)))
        with connection.transaction():
            connection.execute(FORGET_TAGS, {"name": ledger.name})
            connection.execute(FORGET, [ledger.name])
        return None


def _create(connection: Connection, home: str, ledger: CataloguedLedger, database: str) -> CataloguedLedger | None:
    if connection.execute(EXISTS, [database]).fetchone() is None:
        try:
            connection.execute(
                SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(Identifier(database))
            )
        except psycopg.errors.InsufficientPrivilege:
            raise StrandlineError(
                f"The database login may not create the database of ledger {ledger.name}: give it CREATEDB."
            ) from None
    url = ledger.url(home)
    migrate(url)
    with connect(url) as made:
        made.execute(MADE_AS, [ledger.name])
        made.commit()
    return _one(connection, MARK_ACTIVE, [ledger.name])


def made_as(url: str) -> str | None:
    """Return the name under which a database was made for a ledger; None for any other database."""
    with connect(url, role=None) as connection:
        row = connection.execute(READ_MADE_AS).fetchone()
    return None if row is None else str(row[0])


def check_name(name: str) -> None:
    """Raises UsageError for a name that QLDB would not take."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name[:40]!r} is no name for a ledger: it has 1 to 32 letters, digits and single hyphens within, and is "
            "no number."
        )


def _one(connection: Connection, statement: str, values: Any) -> CataloguedLedger | None:
    with connection.transaction():
        row = connection.execute(statement.encode(), values).fetchone()
    return None if row is None else CataloguedLedger(*row)
