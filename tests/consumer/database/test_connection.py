import json
import socket
import sys
import threading
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from strandline.consumer.database import connection as module
from strandline.consumer.database.connection import connect, open_database
from strandline.consumer.database.errors import DatabaseError, DatabaseUnreachable, describe_error
from strandline.consumer.settings import Settings
from strandline.journal.errors import UsageError


def test_url_that_is_set_is_given() -> None:
    with open_database(Settings(database_url="postgresql://h/d", home=Path("/nowhere"))) as url:
        assert url == "postgresql://h/d"


def test_acts_as_the_worker_in_utc(database: str) -> None:
    with connect(database, application_name="a test") as conn:
        row = conn.execute(
            "SELECT current_user, current_setting('TimeZone'), current_setting('application_name')"
        ).fetchone()
        assert row == ("strandline_worker", "UTC", "a test")
        assert not conn.autocommit
        conn.rollback()
        assert conn.execute("SELECT current_user").fetchone() == ("strandline_worker",)


def test_acts_as_the_login(database: str) -> None:
    with connect(database, role=None, autocommit=True) as conn:
        assert conn.execute("SELECT current_user = session_user").fetchone() == (True,)
        assert conn.autocommit


def test_jsonb_keeps_decimals(database: str) -> None:
    with connect(database) as conn:
        (value,) = conn.execute("""SELECT '{"a": 1.10, "b": 12345678901234567890, "c": 1e-3}'::jsonb""").fetchone()
    assert value == {"a": Decimal("1.10"), "b": 12345678901234567890, "c": Decimal("0.001")}
    assert str(value["a"]) == "1.10"
    assert json.loads("1.10") == 1.1


def test_jsonb_keeps_every_digit_of_any_number(database: str) -> None:
    with connect(database) as conn:
        for text in ("-0.10", "12345678901234567890123456789012345678901234567890", "9" * 6000, "1" + "0" * 400):
            (value,) = conn.execute(f"SELECT '[{text}, \"\\ufffe \\u00e9\"]'::jsonb".encode()).fetchone() or ([],)
            sys.set_int_max_str_digits(0)
            try:
                assert [str(value[0]), value[1]] == [text, "\ufffe é"]
            finally:
                sys.set_int_max_str_digits(4300)


def test_options_of_the_url_are_kept(database: str) -> None:
    with connect(make_conninfo(database, options="-c work_mem=5MB")) as conn:
        assert conn.execute("SHOW work_mem").fetchone() == ("5MB",)


def test_unreachable_names_where_but_not_the_password() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(DatabaseUnreachable) as caught:
            connect(f"postgresql://someone:secret@127.0.0.1:{port}/ledger")
    text = str(caught.value)
    assert f"PostgreSQL at 127.0.0.1, port {port}, database ledger cannot be reached: " in text
    assert "refused" in text
    assert "secret" not in text
    assert len(text.splitlines()) == 2


def test_database_that_does_not_exist(database: str) -> None:
    with pytest.raises(DatabaseUnreachable, match="does not exist"):
        connect(make_conninfo(database, dbname="no_such"))


def test_url_that_is_none() -> None:
    with pytest.raises(UsageError) as caught:
        connect("postgresql://u:secret@[x/y")
    assert "secret" not in str(caught.value)


def test_role_that_does_not_exist(database: str) -> None:
    with pytest.raises(DatabaseError, match="role no_such does not exist"):
        connect(database, role="no_such")


def test_role_that_the_login_may_not_take(database: str) -> None:
    with connect(database, role=None, autocommit=True) as conn:
        conn.execute("CREATE ROLE test_stranger LOGIN PASSWORD 'x'")
        try:
            with pytest.raises(DatabaseError, match="GRANT strandline_worker"):
                connect(make_conninfo(database, user="test_stranger", password="x"))
        finally:
            conn.execute("DROP ROLE test_stranger")


def test_old_server(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OLDEST_VERSION", 99)
    with pytest.raises(DatabaseError, match="needs 99 or later"):
        connect(database)


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("SELECT * FROM no_such", "strandline migrate"),
        ("SET ROLE strandline_analyst; SELECT * FROM journal.migration", "lacks a right"),
        ("SELECT 'a name'::int", "SQLSTATE 22P02"),
        ("DO $$ BEGIN RAISE EXCEPTION 'a name' USING ERRCODE = '53100', DETAIL = 'a name'; END $$", "disk is full"),
        ("DO $$ BEGIN RAISE EXCEPTION 'a name' USING ERRCODE = '53300'; END $$", "no connection left"),
        (
            "CREATE TEMP TABLE t (a text CONSTRAINT short CHECK (length(a) < 3)); INSERT INTO t VALUES ('a name')",
            "short",
        ),
    ],
)
def test_errors_say_what_to_do_and_no_values(database: str, statement: str, text: str) -> None:
    with connect(database) as conn, pytest.raises(psycopg.Error) as caught:
        conn.execute(statement.encode())
    described = str(describe_error(caught.value))
    assert text in described
    assert "a name" not in described


def test_connection_that_is_lost(database: str) -> None:
    with connect(database) as conn, connect(database, role=None, autocommit=True) as other:
        threading.Timer(0.2, other.execute, ["SELECT pg_terminate_backend(%s)", [conn.info.backend_pid]]).start()
        with pytest.raises(psycopg.Error) as first:
            conn.execute("SELECT pg_sleep(30)")
        with pytest.raises(psycopg.Error) as second:
            conn.execute("SELECT 1")
    assert "was lost" in str(describe_error(first.value))
    assert "was lost" in str(describe_error(second.value))


def test_a_session_that_stands_still_in_a_transaction_is_ended(database: str) -> None:
    still = connect(database, idle_seconds=1)
    try:
        still.execute("LOCK TABLE journal.mark")
        with connect(database, autocommit=True) as other:
            other.execute("SELECT FROM journal.mark FOR UPDATE")  # waits until the lock is gone
        with pytest.raises(psycopg.Error):
            still.execute("SELECT 1")
    finally:
        still.close()
