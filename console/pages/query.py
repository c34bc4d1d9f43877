"""Queries in SQL, by a login that may read what the reader may see, and nothing else."""

import csv
import hashlib
import io
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from psycopg.conninfo import make_conninfo

from strandline.console import audit
from strandline.console.logins import DOWNLOAD_SECONDS, QUERY_SECONDS, Login
from strandline.console.page import Asked, Download, Page, Refused, why_not
from strandline.console.pages.answers import redactions_so_far
from strandline.consumer.database.query import WRITE_HINT, Answer, QueryError, json_text, query

LANGUAGE = "SQL"
ROWS = 1_000
MOST_TEXT = 100_000

READ_MODELS = """
    SELECT c.relname, array_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'read'::regnamespace AND c.relkind = 'v' AND a.attnum > 0 AND NOT a.attisdropped
      AND has_table_privilege(c.oid, 'SELECT')
    GROUP BY c.relname ORDER BY c.relname"""
READ_TABLES = """
    SELECT t.name, t.view_name, array_agg(f.field || ' ' || f.type ORDER BY f.field, f.type)
    FROM ledger.user_tables t JOIN ledger.user_table_fields f USING (table_id)
    GROUP BY t.name, t.view_name ORDER BY t.name"""

CANCEL = """
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = session_user AND application_name = %s AND state = 'active'
      AND pid <> pg_backend_pid()"""

# Columns that a page exists for.
LINKS = {"source_document": "/documents/", "document_id": "/documents/", "source_block": "/blocks/"}


def form(asked: Asked) -> Page:
    """The form; the address may name a read model, a table, or one of the reader's last statements by its number."""
    number = asked.query.get("statement", "")
    kept = _kept(asked)
    if number.isdecimal() and int(number[:3]) < len(kept):
        return _page(asked, kept[int(number[:3])])
    return _page(asked, _example(asked))


def run(asked: Asked) -> Page:
    text, redactions = asked.form.get("sql", ""), redactions_so_far(asked)
    with _answer(asked, text, QUERY_SECONDS) as answer:
        rows = list(islice(answer.rows, ROWS))
        more = next(answer.rows, None) is not None
    return _page(asked, text, answer.columns, rows, more=more, redactions=redactions)


def as_csv(asked: Asked) -> Download:
    """The whole answer as CSV."""
    _require(asked)
    return Download("answer.csv", _csv(asked), "text/csv")


def as_file(asked: Asked) -> Download:
    """The whole answer as `sql --json` prints it."""
    _require(asked)
    return Download("answer.json", _json(asked))


def _csv(asked: Asked) -> Generator[str]:
    file = io.StringIO()
    writer = csv.writer(file)
    with _answer(asked, asked.form.get("sql", ""), DOWNLOAD_SECONDS) as answer:
        writer.writerow(answer.columns)
        for row in answer.rows:
            writer.writerow([json_text(one) if isinstance(one, list | bool) else one for one in row])
            yield file.getvalue()
            file.seek(0)
            file.truncate()
    yield file.getvalue()


def _json(asked: Asked) -> Generator[str]:
    with _answer(asked, asked.form.get("sql", ""), DOWNLOAD_SECONDS) as answer:
        names = [json_text(one) for one in answer.columns]
        yield f'{{"columns": [{", ".join(names)}], "rows": ['
        for number, row in enumerate(answer.rows):
            members = [f"{name}: {json_text(one)}" for name, one in zip(names, row, strict=True)]
            yield f"{',' if number else ''}\n  {{{', '.join(members)}}}"
    yield "]}\n"


def cancel(asked: Asked) -> Page:
    """Cancel the reader's queries that run, for example in another tab, in both languages."""
    login = _require(asked)
    with login.connection() as connection:
        number = len(connection.execute(CANCEL, [_label(asked)]).fetchall())
    number += asked.console.running.cancel(asked.reader.name)
    audit.record(asked, "cancel queries", detail=f"{number} running")
    return _page(asked, "", said=f"Cancelled {number:,} running queries.")


@contextmanager
def _answer(asked: Asked, text: str, seconds: int) -> Iterator[Answer]:
    """Run the query by the login that the reader may use. It is recorded by its hash: its text may hold names."""
    login = _require(asked)
    if not text.strip() or len(text) > MOST_TEXT:
        raise QueryError("Type one statement that returns rows.")
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    audit.record(asked, "query", detail=f"as {login.readers}: sha256 {digest}, {len(text)} characters")
    asked.console.history.add(asked.reader.name, LANGUAGE, text)
    # Under a name of the reader's own, so that a page can cancel it.
    url = make_conninfo(login.url, application_name=_label(asked))
    try:
        with query(url, text.strip().removesuffix(";"), seconds=seconds) as answer:
            yield answer
    except QueryError as error:
        raise QueryError(str(error).replace(WRITE_HINT, "")) from None


def _require(asked: Asked) -> Login:
    """Return the login that the reader may use. Raises Refused without one."""
    login = _login(asked)
    if login is None:
        raise Refused(why_not(asked, "analyst"))
    return login


def _kept(asked: Asked) -> list[str]:
    return asked.console.history.of(asked.reader.name, LANGUAGE) if _login(asked) is not None else []


def _label(asked: Asked) -> str:
    return f"strandline console {hashlib.sha256(asked.reader.name.encode()).hexdigest()[:16]}"


def _login(asked: Asked) -> Login | None:
    """Return the login that sees most of what the reader may see."""
    if asked.may("cleared"):
        return asked.console.cleared
    return asked.console.analyst if asked.may("analyst") else None


def _page(
    asked: Asked,
    text: str,
    columns: list[str] | None = None,
    rows: list[Any] | None = None,
    *,
    more: bool = False,
    said: str | None = None,
    redactions: int | None = None,
) -> Page:
    login = _login(asked)
    models: list[tuple[Any, ...]] = []
    tables: list[tuple[Any, ...]] = []
    if login is not None:
        with login.connection() as connection:
            models = connection.execute(READ_MODELS).fetchall()
            if login.readers == "cleared":
                tables = connection.execute(READ_TABLES).fetchall()
    data = {
        "login": None if login is None else login.readers,
        "columns": columns,
        "rows": None if rows is None else [[_json_value(one) for one in row] for row in rows],
        "more": more,
        "read_models": [{"name": name, "columns": list(found)} for name, found in models],
        "tables": [{"name": name, "view": view, "fields": list(fields)} for name, view, fields in tables],
    }
    shown = [[json_text(one) if isinstance(one, list | bool) else one for one in row] for row in rows or []]
    links = {index: LINKS[name] for index, name in enumerate(columns or ()) if name in LINKS}
    more_ = {"text": text, "shown": shown, "limit": ROWS, "links": links, "login": login, "said": said}
    return Page("query.html", data, {**more_, "redactions": redactions, "kept": _kept(asked)})


def _json_value(value: Any) -> Any:
    """Return a cell for the page's JSON; numbers stay text with every digit."""
    return [_json_value(one) for one in value] if isinstance(value, list) else value


def _example(asked: Asked) -> str:
    model, table = asked.query.get("model", ""), asked.query.get("table", "")
    if model in asked.console.projections:
        return f"SELECT * FROM read.{model} LIMIT 20"
    if table.isidentifier():
        return f"SELECT document_id, version, state, data FROM ledger.history('{table}') LIMIT 20"
    return ""
