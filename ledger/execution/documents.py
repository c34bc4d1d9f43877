"""A transaction whose statements are the application's own, with the reads and writes that PartiQL needs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from amazon.ion.core import Timestamp
from psycopg.types.json import Jsonb

from strandline.consumer.store.catalog import Table, derived_index_id
from strandline.consumer.store.graft import TABLE as GRAFT
from strandline.journal.ion import values as ion
from strandline.journal.ion.json import to_json
from strandline.journal.make.block import Statement, at
from strandline.ledger import errors
from strandline.ledger.execution import sql
from strandline.ledger.execution.access import AccessDenied, May
from strandline.ledger.execution.plan import Plans
from strandline.ledger.reading import DOCUMENT
from strandline.ledger.transaction import Transaction
from strandline.ledger.values import Document, as_json

Struct = dict[str, Any]


class Documents(Transaction):
    """Reads current documents with the transaction's own changes, and committed revisions without them.

    Every read counts when the transaction's conflicts are decided: documents by id, values that were searched for in a
    field, and tables that were read completely.
    """

    _statement = -1
    plans: Plans | None = None
    """The plans over the tables as of `tables_at`; None once the transaction has defined something itself."""
    may: May | None = None  # everything is allowed

    def check_access(self, action: str, table: str) -> None:
        """Raises AccessDenied if the action is not allowed on the table of this name."""
        if self.may is not None and not self.may(action, table):
            raise AccessDenied

    def begin_statement(self, text: str, parameters: Sequence[Any], now: Timestamp) -> None:
        """Record a statement; what the transaction does from now on belongs to it."""
        self._statement = len(self._statements)
        self._statements.append(Statement(text, now, tuple(parameters)))

    def _define(self, text: str, what: dict[str, Any]) -> None:
        self.plans = None
        super()._define(text, what)

    def _record(self, text: str, *parameters: Any) -> int:
        return self._statement

    # -- tables

    def table(self, name: str) -> Table | None:
        """Return the active table of this name."""
        return self._tables.get(name)

    def dropped(self, table_id: str) -> Table | None:
        """Return the dropped table of this id."""
        return self._dropped.get(table_id)

    def table_of_id(self, table_id: str) -> Table | None:
        """Return the table of this id, active or dropped."""
        active = (one for one in self._tables.values() if id_of(one) == table_id)
        return next(active, None) or self._dropped.get(table_id)

    def user_table_rows(self) -> list[Struct]:
        """Return the rows of information_schema.user_tables."""
        active = [(name, table, "ACTIVE") for name, table in sorted(self._tables.items()) if name != GRAFT]
        dropped = [(table.name, table, "INACTIVE") for table in self._dropped.values() if table.name != GRAFT]
        return [
            {"tableId": id_of(table), "name": name, "indexes": self._index_rows(name, table), "status": status}
            for name, table, status in (*active, *dropped)
        ]

    def _index_rows(self, name: str, table: Table) -> list[Struct]:
        """Return the table's indexes; those that this transaction creates are not used before its commit."""
        own = sorted(field for of, field in self._indexed if of == name) if table.active else []
        ids = {**table.index_ids, **{field: derived_index_id(self.transaction_id, name, field) for field in own}}
        status = dict.fromkeys(table.indexes, "ONLINE") | dict.fromkeys(own, "BUILDING")
        return [{"indexId": ids[field], "expr": f"[{field}]", "status": status[field]} for field in status]

    # -- current documents

    def by_ids(self, table: Table, document_ids: Iterable[str]) -> Iterator[Document]:
        """Yield the documents of these ids that the table has."""
        for document_id in dict.fromkeys(document_ids):
            if (found := self._find(table, document_id)) is not None and found.data is not None:
                yield found

    def by_values(self, table: Table, field: str, values: Sequence[Any]) -> Iterator[Document]:
        """Yield the documents whose indexed field may equal one of the values, and all that the transaction wrote."""
        seen = set(self._changes)
        for value in values:
            self._search(table, field, value)
            for found in list(self._reading.matching(id_of(table), field, value)):
                if found.document_id not in seen and found.data is not None:
                    seen.add(found.document_id)
                    self._reads.documents.add(found.document_id)
                    yield found
        yield from self._own(table)

    def narrowed(self, table: Table, field: str, values: Sequence[Any]) -> Iterator[Document]:
        """Yield documents as `by_values` does, for a field without an index: PostgreSQL reads the table."""
        for value in values:
            self._search(table, field, value)
        jsonb = [Jsonb(value, dumps=to_json) for value in values]
        statement = sql.NARROWED.format(columns=DOCUMENT)
        for found in self._unchanged(self._reading.stream(statement, table=id_of(table), field=field, values=jsonb)):
            self._reads.documents.add(found.document_id)
            yield found
        yield from self._own(table)

    def scan(self, table: Table) -> Iterator[Document]:
        """Yield all documents of the table."""
        self._reads.tables.add(id_of(table))
        statement = sql.SCAN.format(columns=DOCUMENT)
        yield from self._unchanged(self._reading.stream(statement, table=id_of(table)))
        yield from self._own(table)

    def _unchanged(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[Document]:
        """Yield the documents that the transaction has not changed."""
        own = set(self._changes)
        for row in rows:
            if row[0] not in own and (found := _document(row)).data is not None:
                yield found

    def _own(self, table: Table) -> list[Document]:
        return [
            Document(id_, own.version, own.data)
            for id_, own in self._changes.items()
            if own.table_id == id_of(table) and own.data is not None
        ]

    def _search(self, table: Table, field: str, value: Any) -> None:
        self._reads.equalities.setdefault((id_of(table), field), []).append(as_json(value))

    # -- committed revisions

    def committed_by_ids(self, table: Table, document_ids: Iterable[str]) -> list[Struct]:
        """Return the committed revisions of these documents, in the shape of QLDB's committed view."""
        ids = list(dict.fromkeys(document_ids))
        self._reads.documents.update(ids)
        return list(map(self._revision, self._reading.rows(sql.LAST, table=id_of(table), documents=ids)))

    def committed_by_values(self, table: Table, field: str, values: Sequence[Any]) -> list[Struct]:
        """Return those whose indexed field may equal one of the values."""
        found: dict[str, None] = {}
        for value in values:
            self._search(table, field, value)
            found |= dict.fromkeys(one.document_id for one in self._reading.matching(id_of(table), field, value))
        return self.committed_by_ids(table, found)

    def committed(self, table: Table) -> Iterator[Struct]:
        """Yield the committed revisions of all documents of the table."""
        self._reads.tables.add(id_of(table))
        statement = sql.SCAN.format(columns=sql.COMMITTED)
        yield from map(self._revision, self._reading.stream(statement, table=id_of(table)))

    def revisions(
        self, table: Table, document_ids: Iterable[str] | None, from_time: datetime | None, to_time: datetime | None
    ) -> Iterator[Struct]:
        """Yield the committed revisions that were active at some time of the period, deletions included."""
        ids = None if document_ids is None else list(dict.fromkeys(document_ids))
        if ids is None:
            self._reads.tables.add(id_of(table))
        else:
            self._reads.documents.update(ids)
        between = {"from": from_time, "to": to_time}
        rows = self._reading.stream(sql.HISTORY, table=id_of(table), documents=ids, **between)
        yield from map(self._revision, rows)

    def _revision(self, row: tuple[Any, ...]) -> Struct:
        (id_, version, _, _, state, number, tx_id, tx_time, revision_hash, data_hash, metadata) = row
        revision: Struct = {
            "blockAddress": {"strandId": self._strand_id, "sequenceNo": number},
            "hash": revision_hash,
        }
        if state == "normal":
            revision["data"] = _data(row)
        elif state == "redacted" and data_hash is not None:
            revision["dataHash"] = data_hash
        standard = {"id": id_, "version": version, "txTime": at(tx_time), "txId": tx_id}
        revision["metadata"] = standard if metadata is None else ion.read_one(metadata)
        return revision

    # -- changes

    def rewrite(self, table: Table, document_id: str, data: Mapping[str, Any] | None, times: int) -> None:
        """Replace a current document, or delete it; `times` counts the assignments that made it."""
        known, before = self._writable(table.name), self._find(table, document_id)
        if before is None:
            raise errors.NoSuchDocument(f"table {table.name} has no current document {document_id}")
        self._rewrite(known, before, data, self._statement)
        self._changes[document_id].statements += [self._statement] * (times - 1)

    @property
    def since(self) -> int:
        """A block that the ledger had when the transaction began; its own comes after it."""
        return self._reads.since

    @property
    def written(self) -> int:
        """The number of documents that the transaction wrote."""
        return len(self._changes)


def id_of(table: Table) -> str:
    """Return a table's id; it is derived if QLDB had given it none."""
    table_id = table.table_id or table.derived_id
    assert table_id is not None
    return table_id


def _document(row: tuple[Any, ...]) -> Document:
    id_, version, _, _, state, number, tx_id, tx_time = row[:8]
    return Document(id_, version, _data(row), state, number, tx_id, tx_time)


def _data(row: tuple[Any, ...]) -> Any:
    """Return a revision's data; of one that came from JSON, JSON's values."""
    return ion.read_one(row[2]) if row[2] is not None else row[3]
