"""Drafts a projection: a file with every field that a table's documents have had, for the user to cut down."""

import json
import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from strandline.consumer.projection.definition import NAME, RESERVED
from strandline.journal.errors import UsageError

FIELDS = """
    SELECT path, type, revisions, share FROM ledger.user_table_fields
    JOIN ledger.user_tables t USING (table_id, name)
    WHERE name = %s AND t.status = 'ACTIVE' ORDER BY path, revisions DESC, type"""
TABLES = "SELECT DISTINCT name FROM ledger.user_tables WHERE status = 'ACTIVE' ORDER BY name"

# Of each Ion type the column's type, and the method that reads it. JSON exports have JSON's types.
COLUMNS = {
    "string": ("text", "text"),
    "symbol": ("text", "text"),
    "clob": ("text", "text"),
    "blob": ("text", "text"),
    "int": ("numeric", "number"),
    "decimal": ("numeric", "number"),
    "float": ("numeric", "number"),
    "bool": ("boolean", "boolean"),
    "timestamp": ("timestamptz", "moment"),
}
OTHER = ("jsonb", "field")
NULL = "null"

HEADER = '''"""{table}: describe what this read model is for, and keep no more than that needs."""

from strandline import Column, Revision, RowProjection, Rows


def rows(revision: Revision) -> Rows:
    yield {{
{members}
    }}


PROJECTION = RowProjection(
    name={name},
    purpose="The current documents of {table}.",  # whom is it for, and what do they need?
    tables=({source},),
    keeps="current",  # or "history": a row for every revision
    readers="cleared",  # restricted; "analysts" once nothing in it is personal
    columns=(
{columns}
    ),
    rows=rows,
)
'''
NESTED = "# Also within these fields, for a function of your own to read from revision.field(…):\n{lines}"


@dataclass(frozen=True, slots=True)
class Field:
    """A field by its path and one type that it has had, with the number and share of revisions that have it."""

    path: tuple[str, ...]
    type: str
    revisions: int
    share: Decimal


def read_fields(connection: psycopg.Connection[Any], table: str) -> list[Field]:
    """Return the fields of a table. Raises `UsageError` if no active table of this name has had data."""
    found = [Field(tuple(path), *rest) for path, *rest in connection.execute(FIELDS, [table])]
    if not found:
        tables = ", ".join(name for (name,) in connection.execute(TABLES))
        raise UsageError(f"The ledger has no documents in a table of this name; there are {tables or 'no tables'}.")
    return found


def draft(table: str, name: str, fields: Sequence[Field]) -> str:
    """Return the projection's file; raises `UsageError` if a projection cannot have the name."""
    if not NAME.fullmatch(name):
        raise UsageError(
            "A projection's name has at most 40 small letters, digits and underscores: give one with --name."
        )
    tops: dict[str, list[Field]] = {}
    for one in fields:
        if len(one.path) == 1:
            tops.setdefault(one.path[0], []).append(one)
    if not tops:
        raise UsageError("Its documents have no fields with names, so there is nothing to make columns of.")
    members, columns, taken = [], [], set(RESERVED)
    for field, seen in tops.items():
        column = _column(field, taken)
        taken.add(column)
        kind, reader = _kind(seen)
        members.append(f"        {_literal(column)}: revision.{reader}({_literal(field)}),")
        columns.append(f"        Column({_literal(column)}, {_literal(kind)}, {_literal(_description(field, seen))}),")
    text = HEADER.format(
        table=_plain(table),
        name=_literal(name),
        source=_literal(table),
        members="\n".join(members),
        columns="\n".join(columns),
    )
    return text + _nested(fields)


def snake(name: str) -> str:
    """Return a name for a projection or column: `licenceId` becomes `licence_id`. The result may be empty or taken."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    small = re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")
    return (f"f_{small}" if not small[:1].isalpha() else small)[:40].rstrip("_")


def _column(field: str, taken: set[str]) -> str:
    name = snake(field)
    if keyword.iskeyword(name) or name in taken:
        name = f"{name[:36]}_of"
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name[:36]}_{number}"
    return unique


def _kind(seen: Iterable[Field]) -> tuple[str, str]:
    kinds = {COLUMNS.get(one.type, OTHER) for one in seen if one.type != NULL}
    return kinds.pop() if len(kinds) == 1 else OTHER


def _description(field: str, seen: Sequence[Field]) -> str:
    types = ", ".join(f"{one.type} in {_percent(one.share)}" for one in seen)
    return f"{_plain(field)}: {types} of the revisions."


def _percent(share: Decimal) -> str:
    shown = share * 100
    return "less than 1 %" if 0 < shown < 1 else f"{shown:.0f} %"


def _nested(fields: Sequence[Field]) -> str:
    lines = []
    for one in fields:
        if len(one.path) > 1:
            lines.append(f"#   {_plain('.'.join(one.path))}: {one.type} in {_percent(one.share)}")
    return "\n" + NESTED.format(lines="\n".join(lines)) + "\n" if lines else ""


def _plain(text: str) -> str:
    """Clean a name from the ledger for a comment or a description: on one line, and only text."""
    return re.sub(r"[^\w .,:;/()\[\]-]", "?", text)[:80]


def _literal(text: str) -> str:
    """Return the text as a Python literal, in double quotes if all its characters are printable."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else repr(text)
