"""Data does not depend on the settings of a database, a role or the environment."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import PINNED, client_environment, connect
from strandline.consumer.database.errors import DatabaseError
from strandline.consumer.database.migrate import migrate
from strandline.consumer.verification.verify import verify_store
from strandline.journal.ion import values as ion
from strandline.journal.make.block import BlockMaker, NewRevision, Statement, timestamp
from tests.consumer.intake.replays import contents, export, replay
from tests.databases import migrated_database, temporary_database
from tests.journals import ADA, STRAND, TABLE, Block

ODD = {
    "client_encoding": "LATIN1",
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "xmloption": "document",
    "search_path": "ledger",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "statement_timeout": "1h",
    "lock_timeout": "1h",
    "idle_session_timeout": "1h",
}
ODDITIES = {**ODD, "synchronous_commit": "off"}


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """A journal with text, times and numbers that odd settings would change."""
    data = {
        "name": "Zoë Łukasz €",
        "quote": "a\\'b\\n",
        "at": ion.read_one(b"2021-02-03T04:05:06.789+05:45"),
        "amount": ion.read_one(b"0.10"),
        "ratio": 0.1234567890123456,
        "note": None,
        "bytes": b"\\x00\xff",
    }
    maker, at = BlockMaker(STRAND), timestamp(1_600_000_000_000)
    blocks: list[Block] = [
        maker.make(
            transaction_id="Transaction00000000000",
            tx_time=at,
            block_time=at,
            statements=[Statement("INSERT INTO Licence ?", at)],
            revisions=[NewRevision(ADA, TABLE, "Licence", 0, data)],
        )
    ]
    return export(tmp_path / "export", blocks)


def alter(url: str, kind: str, name: str, settings: dict[str, str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        for setting, value in settings.items():
            statement = SQL("ALTER {} {} SET {} = {}").format(
                SQL(kind), Identifier(name), SQL(setting), SQL(value if setting == "search_path" else repr(value))
            )
            connection.execute(statement)


@pytest.fixture
def expected(postgres_url: str, migrated_template: str, journal: str) -> Iterator[list[object]]:
    """The contents of a store with usual settings."""
    with migrated_database(postgres_url, migrated_template) as url:
        replay(url, journal)
        yield list(contents(url))


def check(url: str, journal: str, expected: list[object], read: str) -> None:
    assert replay(url, journal).mark == 0
    assert contents(read) == expected
    assert verify_store(url, workers=1).ok
    with connect(url) as connection:
        shown = {name: connection.execute(f"SHOW {name}".encode()).fetchone() for name in ODDITIES}
    assert shown == {name: (value,) for name, value in {**PINNED, "synchronous_commit": "on"}.items()}


def test_every_pinned_setting_is_tried() -> None:
    assert ODD.keys() == PINNED.keys()
    assert all(ODD[name] != PINNED[name] for name in PINNED)


def test_settings_of_the_database_do_not_matter(database: str, journal: str, expected: list[object]) -> None:
    plain = " ".join(f"-c {name}={PINNED[name].replace(' ', '')}" for name in ("datestyle", "timezone"))
    read = make_conninfo(database, client_encoding="UTF8", options=plain)
    with psycopg.connect(database) as connection:
        name = connection.info.dbname
    alter(database, "DATABASE", name, ODDITIES)
    check(database, journal, expected, read)


def test_settings_of_the_role_do_not_matter(database: str, journal: str, expected: list[object]) -> None:
    role = "test_odd_settings"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x' IN ROLE strandline_worker")
    try:
        alter(database, "ROLE", role, ODDITIES)
        check(make_conninfo(database, user=role, password="x"), journal, expected, database)
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f"DROP ROLE {role}")


def test_environment_does_not_matter(
    database: str, journal: str, expected: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGCLIENTENCODING": "LATIN1", "PGDATESTYLE": "SQL, DMY", "PGTZ": "Asia/Kathmandu"}.items():
        monkeypatch.setenv(name, value)
    assert replay(database, journal).mark == 0
    monkeypatch.undo()
    assert contents(database) == expected


def test_other_clients_get_the_settings_that_values_depend_on(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c datestyle=German -c work_mem=5MB")
    for name, value in client_environment().items():
        monkeypatch.setenv(name, value)
    with psycopg.connect(database) as connection:
        for name in ("client_encoding", "datestyle", "intervalstyle", "timezone", "bytea_output", "extra_float_digits"):
            assert connection.execute(f"SHOW {name}".encode()).fetchone() == (PINNED[name],)
        assert connection.execute("SHOW work_mem").fetchone() == ("5MB",)


def test_database_of_another_encoding_is_refused_untouched(postgres_url: str) -> None:
    with temporary_database(postgres_url) as (_, url), psycopg.connect(url, autocommit=True) as connection:
        name = f"{connection.info.dbname}_latin1"
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1'"
            " LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc"
        )
        try:
            with pytest.raises(DatabaseError, match=r"encoding LATIN1.*ENCODING 'UTF8'"):
                migrate(make_conninfo(url, dbname=name))
            with psycopg.connect(make_conninfo(url, dbname=name)) as other:
                assert other.execute("SELECT FROM pg_namespace WHERE nspname = 'journal'").fetchone() is None
        finally:
            connection.execute(f"DROP DATABASE {name}")
