"""The command `sql`: exact values, and nothing is written."""

import json
import os
from collections.abc import Callable

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from strandline.cli import main

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)

    def ask(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["sql", *arguments])
        return (status, *capsys.readouterr())

    return ask


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("1.10::numeric", "1.10"),
        ("12345678901234567890.12345678901234567890::numeric", "12345678901234567890.12345678901234567890"),
        ("'NaN'::numeric", '"NaN"'),
        ("'-infinity'::float8", '"-Infinity"'),
        ("0.1::float4", "0.1"),
        ("9223372036854775807", "9223372036854775807"),
        ("true", "true"),
        ("NULL::text", "null"),
        ("'Zoë \"x\"'", '"Zoë \\"x\\""'),
        ("'2020-01-02 03:04:05.678+01'::timestamptz", '"2020-01-02T02:04:05.678Z"'),
        ("'infinity'::timestamptz", '"infinity"'),
        ("'2020-01-02'::date", '"2020-01-02"'),
        ("'\\xdead'::bytea", '"\\\\xdead"'),
        ('\'{"a": 1.00, "b": [1e3]}\'::jsonb', '{"a": 1.00, "b": [1000]}'),
        ("ARRAY[1, NULL, 2.50]", "[1, null, 2.50]"),
        ("ARRAY['a\"b', 'c,d']", '["a\\"b", "c,d"]'),
        ("ARRAY['{\"a\": 1.0}'::jsonb]", '[{"a": 1.0}]'),
        ("ARRAY[true, false]", "[true, false]"),
    ],
)
def test_values_are_exact(ask: Ask, expression: str, text: str) -> None:
    status, out, _ = ask("--json", f"SELECT {expression} AS value")
    assert (status, out) == (0, f'{{"columns": ["value"], "rows": [\n  {{"value": {text}}}]}}\n')


def test_table_is_cut_and_says_so_while_json_is_complete(ask: Ask) -> None:
    _, out, _ = ask("--json", "SELECT * FROM generate_series(1, 3000) AS n")
    assert [row["n"] for row in json.loads(out)["rows"]] == list(range(1, 3001))
    status, _, err = ask("SELECT * FROM generate_series(1, 3000) AS n")
    assert status == 0
    assert "--json prints all" in err


def test_columns_of_one_name_are_numbered_and_no_rows_have_columns(ask: Ask) -> None:
    assert json.loads(ask("--json", "SELECT 1 AS a, 2 AS a")[1])["rows"] == [{"a": 1, "a_2": 2}]
    assert json.loads(ask("--json", "SELECT 1 AS a WHERE false")[1]) == {"columns": ["a"], "rows": []}


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM journal.mark RETURNING 1",
        "COMMIT; DELETE FROM journal.mark",
        "SELECT 1; DELETE FROM journal.mark",
        "COPY journal.mark TO STDOUT",
        "SET TRANSACTION READ WRITE",
        "",
        "SELEC 1",
        "SELECT 1 / 0",
    ],
)
def test_nothing_is_written_and_errors_are_one_line(ask: Ask, database: str, statement: str) -> None:
    status, out, err = ask("--json", statement)
    assert status == 1
    assert err == f"error: {json.loads(out)['error']['message']}\n"
    assert err.count("\n") == 1
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM journal.mark").fetchone() == (1,)


def test_failure_after_many_rows_prints_no_partial_object(ask: Ask) -> None:
    status, out, err = ask("--json", "SELECT 1 / (2000 - n) FROM generate_series(1, 3000) AS n")
    assert (status, json.loads(out).keys()) == (1, {"error"})
    assert "division by zero" in err


def test_values_are_neither_terminal_escapes_nor_markup(ask: Ask) -> None:
    _, out, _ = ask("SELECT E'\\x1b[31m [red]hot[/red]' AS value")
    assert "\x1b" not in out
    assert "[red]hot[/red]" in out


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("SELECT $1", "The query has parameters, such as $1: write their values into the query."),
        ("SELECT '\0'", "The query contains a NUL character, which PostgreSQL does not accept."),
        ("SELECT '\udcff'", "The query is not valid UTF-8 text."),
        ("LISTEN x", "The query returns no rows: run `strandline sql` without a query to use psql."),
    ],
)
def test_unusable_query_is_one_line(ask: Ask, statement: str, text: str) -> None:
    arguments = ["--write"] if statement == "LISTEN x" else []
    assert ask(*arguments, statement) == (1, "", f"error: {text}\n")


def test_query_of_the_owner_runs_as_a_cleared_reader(ask: Ask) -> None:
    _, out, _ = ask("--json", "SELECT current_user, pg_has_role('strandline_worker', 'USAGE') AS owner")
    assert json.loads(out)["rows"] == [{"current_user": "strandline_cleared", "owner": False}]
    assert "permission denied" in ask("SELECT pg_read_file('postgresql.conf')")[2]
    assert "permission denied" in ask("SELECT * FROM journal.revision")[2]


def test_query_of_a_reader_runs_as_its_login(ask: Ask, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    login = f"reader_{os.getpid()}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {login} LOGIN IN ROLE strandline_analyst".encode())
        try:
            monkeypatch.setenv("STRANDLINE_DATABASE_URL", make_conninfo(database, user=login))
            _, out, _ = ask("--json", "SELECT current_user, session_user")
        finally:
            connection.execute(f"DROP ROLE {login}".encode())
    assert json.loads(out)["rows"] == [{"current_user": login, "session_user": login}]


def test_write_commits_a_statement_even_if_its_rows_are_cut(ask: Ask, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.scratch AS SELECT n FROM generate_series(1, 3000) AS n")
        status, _, err = ask("--write", "UPDATE public.scratch SET n = 0 RETURNING n")
        assert (status, "first 500 rows" in err) == (0, True)
        assert connection.execute("SELECT count(*) FROM public.scratch WHERE n = 0").fetchone() == (3000,)
        assert "read-only transaction" in ask("UPDATE public.scratch SET n = 1 RETURNING n")[2]
