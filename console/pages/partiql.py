"""Queries in PartiQL, as QLDB's editor had them: for cleared readers, over the whole ledger, and read-only."""

import hashlib
import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from strandline.console import audit, jobs
from strandline.console.logins import DOWNLOAD_SECONDS, QUERY_SECONDS
from strandline.console.page import Asked, Download, Elsewhere, Page
from strandline.console.pages.answers import redactions_so_far
from strandline.journal.errors import UnreadableError, UsageError
from strandline.journal.ion import values as ion
from strandline.journal.ion.json import to_json
from strandline.ledger.query import Cancel, Query, query

LANGUAGE = "PartiQL"
ROWS = 1_000
MOST_SHOWN = 2 * 1024 * 1024  # characters of Ion on a page
MOST_TEXT = 100_000

EXAMPLES = {
    "documents": "SELECT * FROM {} AS r BY id",
    "committed view": "SELECT * FROM _ql_committed_{} AS r",
    "history": "SELECT * FROM history({}) AS h",
    "as of a time": "SELECT h.data, h.metadata FROM history({}, `2023-01-01T`, `2023-01-02T`) AS h",
    "count": "SELECT COUNT(*) AS number FROM {}",
}

READ_TABLES = """
    SELECT t.name, t.status, t.indexes,
           ARRAY(SELECT f.field || ' ' || f.type FROM ledger.user_table_fields f WHERE f.table_id = t.table_id
                 ORDER BY f.path, f.type)
    FROM ledger.user_tables t ORDER BY t.status, t.name"""


def form(asked: Asked) -> Page:
    """The editor; the address may name a table, or one of the reader's last statements by its number."""
    number = asked.query.get("statement", "")
    kept = asked.console.history.of(asked.reader.name, LANGUAGE) if asked.may("cleared") else []
    if number.isdecimal() and int(number[:3]) < len(kept):
        return _page(asked, kept[int(number[:3])])
    table, example = asked.query.get("table", ""), EXAMPLES.get(asked.query.get("example", "documents"))
    return _page(asked, example.format(table) if example is not None and table.isidentifier() else "")


def run(asked: Asked) -> Page:
    redactions, began = redactions_so_far(asked), time.monotonic()
    rows: list[Any] = []
    texts: list[str] = []
    size, more = 0, False
    with _querying(asked, QUERY_SECONDS) as found:
        for row in found.rows:
            if len(rows) == ROWS or size > MOST_SHOWN:
                more = True
                break
            rows.append(row)
            texts.append(ion.write_text(row))
            size += len(texts[-1])
        took = round((time.monotonic() - began) * 1000)
        result = {
            "plan": found.plan,
            "reads": found.rows.reads,
            "milliseconds": took,
            "block": found.at,
            "indexed": found.indexed,
            "rows": [json.loads(to_json(row)) for row in rows],
            "ion": texts,
            "more": more,
        }
    columns, cells = _table(rows)
    shown = {
        "columns": columns,
        "cells": cells,
        "links": [_links(row) for row in rows],
        "json": [to_json(row) for row in rows],
        "redactions": redactions,
    }
    return _page(asked, asked.form.get("statement", ""), result, shown)


def fill_indexes(asked: Asked) -> Elsewhere:
    """Bring the look-ups of indexes to the mark, in a process of its own: the ledger is not changed."""
    asked.require("operator")
    audit.record(asked, "fill indexes")
    return Elsewhere(f"/jobs/{jobs.start(asked, 'index', 'look-ups', {})}")


def as_ion(asked: Asked) -> Download:
    """The whole answer as Ion text, a row a line."""
    asked.require("cleared")
    return Download("answer.ion", _lines(asked), "application/x-ion-text")


def as_json(asked: Asked) -> Download:
    """The whole answer as JSON, a row a line; numbers have every digit."""
    asked.require("cleared")
    return Download("answer.jsonl", _lines(asked, json=True), "application/jsonl")


def _lines(asked: Asked, *, json: bool = False) -> Generator[str]:
    with _querying(asked, DOWNLOAD_SECONDS) as found:
        for row in found.rows:
            yield f"{to_json(row) if json else ion.write_text(row)}\n"


@contextmanager
def _querying(asked: Asked, seconds: float) -> Iterator[Query]:
    """Run the statement of the form. It is recorded by its hash: its text may hold names."""
    asked.require("cleared")
    text = asked.form.get("statement", "").strip().removesuffix(";")
    if not text or len(text) > MOST_TEXT:
        raise UsageError("Type one statement that returns rows.")
    parameters = _parameters(asked.form.get("values", ""))
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    audit.record(asked, "query", detail=f"in PartiQL: sha256 {digest}, {len(text)} characters")
    asked.console.history.add(asked.reader.name, LANGUAGE, text)
    cancel = Cancel()
    with (
        asked.console.running.entered(asked.reader.name, cancel),
        query(asked.console.url, text, parameters, seconds=seconds, cancel=cancel) as found,
    ):
        yield found


def _parameters(text: str) -> list[Any]:
    """Return the values for the question marks: Ion, separated by commas. The error repeats none of them."""
    if not text.strip():
        return []
    try:
        return list(ion.read_one(f"[{text}]".encode()))
    except (UnreadableError, UnicodeEncodeError, TypeError):
        raise UsageError(
            "The values for ? are Ion, separated by commas, such as: 'symbol', \"text\", 12, 2020-01-31T."
        ) from None


def _table(rows: Sequence[Any]) -> tuple[list[str], list[list[str | None]]]:
    """Return columns and cells, as Ion text; rows that are no structs have one column."""
    if not all(isinstance(row, Mapping) for row in rows):
        return ["value"], [[ion.write_text(row)] for row in rows]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return columns, [[ion.write_text(row[name]) if name in row else None for name in columns] for row in rows]


def _links(row: Any) -> tuple[str | None, int | None]:
    """Return the document and block of a row that names them as QLDB's views do."""
    if not isinstance(row, Mapping):
        return None, None
    metadata, address = row.get("metadata"), row.get("blockAddress")
    document = metadata.get("id") if isinstance(metadata, Mapping) else row.get("documentId", row.get("id"))
    block = address.get("sequenceNo") if isinstance(address, Mapping) else None
    known = isinstance(document, str) and len(document) == 22 and document.isalnum()
    return (str(document) if known else None), (block if isinstance(block, int) else None)


def _page(asked: Asked, text: str, result: dict[str, Any] | None = None, shown: dict[str, Any] | None = None) -> Page:
    tables: list[tuple[Any, ...]] = []
    kept: list[str] = []
    if asked.may("cleared") and asked.console.cleared is not None:
        with asked.console.cleared.connection() as connection:
            tables = connection.execute(READ_TABLES).fetchall()
        kept = asked.console.history.of(asked.reader.name, LANGUAGE)
    names = ("name", "status", "indexes", "fields")
    data = {"tables": [dict(zip(names, row, strict=True)) for row in tables], "result": result}
    values = asked.form.get("values", "")
    return Page(
        "partiql.html", data, {"text": text, "values": values, "shown": shown, "kept": kept, "examples": EXAMPLES}
    )
