"""PostgreSQL for tests and for `make soak`: a server, and databases in it that are gone afterwards."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Composed, Identifier

from strandline.consumer.database.embedded import embedded_postgres
from strandline.consumer.database.migrate import migrate

PASSWORD_LOGIN = "password_"


@contextmanager
def postgres(home: Path) -> Iterator[str]:
    """URL of a server's maintenance database, as a superuser: the embedded server of `home`, or the one that
    `STRANDLINE_TEST_DATABASE_URL` names, or with `STRANDLINE_TEST_CONTAINERS=1` a container."""
    if url := os.environ.get("STRANDLINE_TEST_DATABASE_URL"):
        yield url
    elif os.environ.get("STRANDLINE_TEST_CONTAINERS") == "1":
        from testcontainers.postgres import PostgresContainer

        with PostgresContainer("postgres:18", driver=None) as container:
            yield container.get_connection_url()
    else:
        with embedded_postgres(home) as url:
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute("ALTER SYSTEM SET fsync = off")
                _ask_for_passwords(conn)
                conn.execute("SELECT pg_reload_conf()")
            yield url


def _ask_for_passwords(conn: psycopg.Connection[tuple[str]]) -> None:
    """Let logins whose name begins with PASSWORD_LOGIN in only with their password; the others need none."""
    row = conn.execute("SHOW hba_file").fetchone()
    assert row is not None
    file = Path(row[0])
    file.write_text(f"local all /^{PASSWORD_LOGIN} scram-sha-256\n{file.read_text()}")


@contextmanager
def migrated_template(server: str) -> Iterator[str]:
    """Name of a migrated database to copy."""
    with temporary_database(server) as (name, url):
        migrate(url)
        yield name


@contextmanager
def migrated_database(server: str, template: str) -> Iterator[str]:
    """URL of a fresh copy of the template, as a superuser."""
    with temporary_database(server, template) as (name, url):
        with psycopg.connect(url, autocommit=True) as conn:
            # A copy has all of its template but the rights on the database itself.
            grant = SQL("GRANT CREATE, TEMPORARY ON DATABASE {} TO strandline_worker")
            conn.execute(grant.format(Identifier(name)))
        yield url


@contextmanager
def temporary_database(server: str, template: str = "template1") -> Iterator[tuple[str, str]]:
    """Name and URL of a fresh database."""
    name = f"test_{uuid.uuid4().hex}"
    _execute(server, SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
    try:
        yield name, _other_database(server, name)
    finally:
        for one in (*_ledgers_beside(server, name), name):
            _execute(server, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(one)))


@contextmanager
def login(database: str, role: str) -> Iterator[str]:
    """Give the URL of a new login that has this role and no other."""
    name = f"{role}_{os.getpid()}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN IN ROLE {role}".encode())
        try:
            yield make_conninfo(database, user=name)
        finally:
            connection.execute(f"DROP ROLE {name}".encode())


def _ledgers_beside(server: str, name: str) -> list[str]:
    """Return the databases of ledgers that a test created; their names begin as the catalogue's (`add_ledger`)."""
    with psycopg.connect(server, autocommit=True) as conn:
        found = conn.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [f"{name[:20]}_"])
        return [row[0] for row in found]


def _execute(url: str, statement: Composed) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(statement)


def _other_database(url: str, name: str) -> str:
    """The same server and login; the database is the path of the URL, whatever stands around it."""
    old = conninfo_to_dict(url).get("dbname", "")
    head, _, query = url.partition("?")
    head = head.removesuffix(f"/{old}").rstrip("/") if old else head.rstrip("/")
    return f"{head}/{name}" + (f"?{query}" if query else "")
