"""A PostgreSQL for the tests: one embedded server that all of pytest's workers share, or the one that
`STRANDLINE_TEST_DATABASE_URL` names, or with `STRANDLINE_TEST_CONTAINERS=1` a container."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from consumer.embedded import embedded_postgres
from consumer.migrations import migrate

HOME = "STRANDLINE_TEST_HOME"


def pytest_configure(config: pytest.Config) -> None:
    """Choose the shared server's home before the workers start: they inherit the environment.

    Not below pytest's own folder for temporary files, which each new run closes to the server's user.
    """
    if not hasattr(config, "workerinput"):
        os.environ[HOME] = tempfile.mkdtemp(prefix="strandline-test-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(HOME), ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a server's maintenance database, as a superuser."""
    if url := os.environ.get("STRANDLINE_TEST_DATABASE_URL"):
        yield url
    elif os.environ.get("STRANDLINE_TEST_CONTAINERS") == "1":
        from testcontainers.postgres import PostgresContainer

        with PostgresContainer("postgres:18", driver=None) as container:
            yield container.get_connection_url()
    else:
        with embedded_postgres(Path(os.environ[HOME])) as url:
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute("ALTER SYSTEM SET fsync = off")
                conn.execute("SELECT pg_reload_conf()")
            yield url


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> Iterator[str]:
    """Name of a migrated database to copy, this worker's own."""
    with _temporary_database(postgres_url) as (name, url):
        migrate(url)
        yield name


@pytest.fixture
def database(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """URL of a fresh, migrated database, as a superuser."""
    with _temporary_database(postgres_url, migrated_template) as (name, url):
        with psycopg.connect(url, autocommit=True) as conn:
            # A copy has all of its template but the rights on the database itself.
            grant = SQL("GRANT CREATE, TEMPORARY ON DATABASE {} TO strandline_worker")
            conn.execute(grant.format(Identifier(name)))
        yield url


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[str]:
    """URL of a fresh database with nothing in it, as a superuser (the roles may exist: they are the server's)."""
    with _temporary_database(postgres_url) as (_, url):
        yield url


@contextmanager
def _temporary_database(server: str, template: str = "template1") -> Iterator[tuple[str, str]]:
    name = f"test_{uuid.uuid4().hex}"
    _execute(server, SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
    try:
        yield name, _other_database(server, name)
    finally:
        _execute(server, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def _execute(url: str, statement: psycopg.sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(statement)


def _other_database(url: str, name: str) -> str:
    """The same server and login; the database is the path of the URL, whatever stands around it."""
    old = conninfo_to_dict(url).get("dbname", "")
    head, _, query = url.partition("?")
    head = head.removesuffix(f"/{old}").rstrip("/") if old else head.rstrip("/")
    return f"{head}/{name}" + (f"?{query}" if query else "")
