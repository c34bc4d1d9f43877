"""The contents of the stores, in the terms of the ledger's model (ledger_model.py)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from opensearchpy import OpenSearch
from opensearchpy.helpers import scan
from psycopg.sql import SQL, Identifier

from tests.soak.ledger_model import Row, strings

_SOURCE = "source_document, source_version, source_block"
QUERIES = {
    "journal.block": "SELECT sequence_no, block_hash FROM journal.block",
    "journal.revision": "SELECT sequence_no, document_id, version, table_name, state FROM journal.revision",
    "journal.document_version": "SELECT document_id, version, sequence_no FROM journal.document_version",
    "journal.document": "SELECT document_id, version, sequence_no, deleted FROM journal.document",
    "journal.redaction": "SELECT document_id, version FROM journal.redaction",
    "ledger_activity": "SELECT sequence_no FROM read.ledger_activity",
    "licence_history": f"SELECT {_SOURCE}, state, licence_id, last_name, street, postcode FROM read.licence_history",
    "licence_register": f"SELECT {_SOURCE}, licence_id FROM read.licence_register",
    "contact_directory": f"SELECT {_SOURCE}, licence_id, email, mobile FROM read.contact_directory",
    "licence_points": "SELECT licence_id, endorsement_document, points FROM read.licence_points",
}
SEARCHED = {
    "endorsement_search": lambda one: (
        one["source_document"], one["source_version"], one["source_block"], one["endorsement_id"], one["licence_id"],
        one["points"],
    ),
    "licence_search": lambda one: (
        one["licence_document"], one["licence_id"], one["status"],
        tuple(sorted(endorsement["endorsement_id"] for endorsement in one["endorsements"] or ())),
    ),
}  # fmt: skip
READ_MODELS = (*(name for name in QUERIES if "." not in name), *SEARCHED)

# Everything that may contain a revision's data; rejected records are counted separately.
DATA = "SELECT data FROM journal.revision WHERE data IS NOT NULL"
RELATIONS = "SELECT relation FROM projection.generation WHERE store = 'postgresql'"
ROWS = "SELECT to_jsonb(t) FROM generation.{} t"
# Data of revisions that a block up to the mark has redacted.
WITH_DATA = """
    SELECT count(*) FROM journal.redaction JOIN journal.revision USING (document_id, version), journal.mark m
    WHERE redacted_by <= m.sequence_no AND (data IS NOT NULL OR data_ion IS NOT NULL)"""
OPEN = """
    SELECT count(*) FROM journal.redaction d WHERE NOT EXISTS (
        SELECT FROM projection.receipt r WHERE r.document_id = d.document_id AND r.version = d.version)"""
POSITIONS = "SELECT projection, position FROM projection.generation WHERE state = 'live'"


@dataclass(frozen=True)
class StoreContents:
    """The database and the node that a worker fills."""

    url: str
    search: OpenSearch

    def position(self) -> int:
        """Return the block that the mark and every read model have reached; -1 while one does not exist."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute("SELECT sequence_no FROM journal.mark").fetchone()
            reached: dict[str, int] = dict(connection.execute(POSITIONS).fetchall())
        return min([row[0] if row else -1, *(reached.get(name, -1) for name in READ_MODELS)])

    def redactions_open(self) -> int:
        """Count redactions without a receipt."""
        return int(self._rows(OPEN)[0][0])

    def rejected(self) -> int:
        return int(self._rows("SELECT count(*) FROM journal.rejected")[0][0])

    def with_data(self) -> int:
        """Count redacted revisions that have data."""
        return int(self._rows(WITH_DATA)[0][0])

    def rows(self) -> dict[str, list[Row]]:
        """Return the rows by store and read model, in no order."""
        found = {name: self._rows(query) for name, query in QUERIES.items()}
        return found | {name: list(map(row, self._documents(name))) for name, row in SEARCHED.items()}

    def texts(self) -> set[str]:
        """Return every string in what may contain a revision's data."""
        values = [value for (value,) in self._rows(DATA)]
        for (relation,) in self._rows(RELATIONS):
            values += [value for (value,) in self._rows(SQL(ROWS).format(Identifier(relation)))]
        for name in SEARCHED:
            values += self._documents(name)
        return {text for value in values for text in strings(value)}

    def _rows(self, query: Any) -> list[Row]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def _documents(self, name: str) -> Iterator[dict[str, Any]]:
        self.search.indices.refresh(index=name)
        return (hit["_source"] for hit in scan(self.search, index=name, size=5_000))
