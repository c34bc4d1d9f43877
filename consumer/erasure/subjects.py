"""Finds a person's revisions by the identifier fields that the projections and a setting declare."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import Connection, columns_of
from strandline.consumer.projection.definition import Projection, RowProjection
from strandline.consumer.sinks.table_rows import required_columns
from strandline.journal.errors import UsageError

_FIELD = re.compile(r"(?:(?P<table>[^.]+)\.)?(?P<field>[^.]+)")

# In any version: a former name is also the person's. These may be more: the hash of another text may be the same.
FIND_DOCUMENTS = """
    SELECT document_id FROM journal.found_text
    WHERE table_name = %(table)s AND field = %(field)s AND text_hash = hashtextextended(%(value)s, 0)"""
FIND_BY_READING = """
    SELECT DISTINCT document_id FROM journal.revision
    WHERE sequence_no <= (SELECT sequence_no FROM journal.mark) AND state = 'normal'
      AND %(table)s IN (table_name, '') AND data ->> %(field)s = %(value)s"""
INDEX = "SELECT journal.ensure_found_by(%s::text[], %s::text[])"
IS_INDEXED = "SELECT EXISTS (SELECT FROM journal.found_by WHERE table_name = %(table)s AND field = %(field)s)"
READ_VERSIONS = """
    SELECT r.table_name, r.document_id, r.version, r.sequence_no, r.state, r.tx_time,
           r.state = 'normal' AND r.data ->> %(field)s IS NOT DISTINCT FROM %(value)s
    FROM journal.document_version v
    CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r
    WHERE v.document_id = ANY (%(documents)s)
    ORDER BY r.table_name, r.document_id, r.version"""
READ_GENERATIONS = """
    SELECT generation, projection, relation, store, state FROM projection.generation ORDER BY projection, generation"""
READ_OUTSIDE = """
    SELECT document, version, count(*) FROM projection.outside_row
    WHERE generation = %s AND document = ANY (%s) GROUP BY 1, 2"""
READ_ROWS = """
    SELECT source_document, source_version, count(*) FROM {table}
    WHERE source_document = ANY (%s) GROUP BY 1, 2"""
READ_COMPOSED = """
    SELECT document_id, version, count(*) FROM projection.source
    WHERE generation = %s AND document_id = ANY (%s) GROUP BY 1, 2"""


@dataclass(frozen=True)
class SubjectRevision:
    """One version of a document: `matches` if it has the value itself; `read_models` are those with rows of it."""

    table: str | None
    document_id: str
    version: int
    sequence_no: int
    state: str
    tx_time: str
    matches: bool
    read_models: tuple[str, ...]


def identifier_fields(projections: Iterable[Projection], declared: Sequence[str]) -> dict[str, tuple[str | None, str]]:
    """Return the declared identifier fields, by name: table (None for any) and field. Raises `UsageError`."""
    names = [name for one in projections if isinstance(one, RowProjection) for name in one.subjects]
    fields: dict[str, tuple[str | None, str]] = {}
    for name in (*names, *declared):
        match = _FIELD.fullmatch(name)
        if match is None:
            raise UsageError(f"STRANDLINE_SUBJECT_FIELDS: {name} is not a field: write it as email or Contact.email.")
        fields[name] = (match["table"], match["field"])
    return dict(sorted(fields.items()))


def index_subjects(connection: Connection, declared: Sequence[str]) -> None:
    """Let people be found by the fields of the setting, as they are by those of the projections; commits.

    Intake waits while the texts are added the first time. Raises `UsageError`.
    """
    fields = [(table or "", field) for table, field in identifier_fields((), declared).values()]
    with connection.transaction():
        connection.execute(INDEX, columns_of(fields, 2))


def find_subject(
    connection: Connection, fields: Mapping[str, tuple[str | None, str]],
    name: str, value: str,
) -> list[SubjectRevision]:  # fmt: skip
    """Return every version of every document that has, or had, the value in the field.

    Reads the whole journal if the field is of the setting alone and `index_subjects` has not been called since.

    Raises `UsageError` if the field is not declared.
    """
    if name not in fields:
        known = ", ".join(fields) or "none"
        raise UsageError(
            f"{name} is not a declared field of people (declared: {known}): add it to STRANDLINE_SUBJECT_FIELDS."
        )
    table, field = fields[name]
    parameters: dict[str, Any] = {"table": table or "", "field": field, "value": value}
    indexed = connection.execute(IS_INDEXED, parameters).fetchone() == (True,)
    statement = FIND_DOCUMENTS if indexed else FIND_BY_READING
    documents = [document for (document,) in connection.execute(statement, parameters)]
    rows = connection.execute(READ_VERSIONS, {**parameters, "documents": documents}).fetchall()
    found = {document for _, document, *_, matches in rows if matches}
    rows = [row for row in rows if row[1] in found]
    models = read_models_of(connection, sorted(found))
    return [
        SubjectRevision(
            in_table, id_, version, number, state, at.isoformat(), matches, tuple(models.get((id_, version), ()))
        )
        for in_table, id_, version, number, state, at, matches in rows
    ]


def read_models_of(connection: Connection, documents: Sequence[str]) -> dict[tuple[str, int], list[str]]:
    """Return the read models with rows of each version, from their tables: a definition may have been deleted."""
    models: dict[tuple[str, int], list[str]] = {}
    for generation, name, relation, store, state in connection.execute(READ_GENERATIONS).fetchall():
        table = Identifier("generation", relation)
        rows = connection.execute(READ_COMPOSED, [generation, list(documents)]).fetchall()
        if store != "postgresql":
            rows += connection.execute(READ_OUTSIDE, [generation, list(documents)]).fetchall()
        elif "source_document" in required_columns(connection, table):
            rows += connection.execute(SQL(READ_ROWS).format(table=table), [list(documents)]).fetchall()
        label = name if state == "live" else f"{name} (generation {generation}, {state})"
        for document_id, version, _ in rows:
            models.setdefault((document_id, version), []).append(label)
    return models
