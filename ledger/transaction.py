"""A transaction: its reads, its writes, and the block that they become."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from strandline.consumer.store.catalog import Table, derived_index_id
from strandline.consumer.store.graft import TABLE as GRAFT
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.block import NewRedaction, NewRevision, Statement, timestamp
from strandline.journal.make.ids import derived_id
from strandline.ledger import errors
from strandline.ledger.changes import Reads
from strandline.ledger.partiql import texts
from strandline.ledger.prepared import Prepared, RedactedRevision, UserTable
from strandline.ledger.reading import Reading
from strandline.ledger.values import Document, alike, as_document, as_ion, as_json, comparable

MOST_DOCUMENTS = 40
MOST_BYTES = 4 * 1024 * 1024
MOST_TABLES = 20  # active
MOST_TABLES_IN_ALL = 40
MOST_INDEXES = 5  # of a table
_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MISSING = object()


@dataclass(slots=True)
class _Change:
    """A change of one document by the transaction."""

    table: Table
    table_id: str
    version: int
    data: dict[str, Any] | None
    data_ion: bytes
    statements: list[int] = field(default_factory=list)


class Transaction:
    """The argument of the function given to `Ledger.execute`, valid until that function returns.

    It shows the ledger as of one block, and its own writes. Documents are structs of Ion values: dicts of str, int,
    bool, float, Decimal, bytes, None, datetime, Timestamp, lists and dicts.
    """

    def __init__(
        self,
        transaction_id: str,
        strand_id: str | None,
        tables: Mapping[str, Table],
        tables_at: int,
        reading: Reading,
        dropped: Mapping[str, Table] | None = None,
    ) -> None:
        """`tables` are the active tables as of block `tables_at`, by name, `dropped` the others, by id."""
        self.transaction_id = transaction_id
        self._strand_id = strand_id
        self._tables = dict(tables)
        self._dropped = dict(dropped or {})
        self._reading = reading
        self._reads = Reads(tables_at, tables_at)
        self._statements: list[Statement] = []
        self._changes: dict[str, _Change] = {}
        self._redactions: list[NewRedaction] = []
        self._system_revisions: list[bytes] = []
        self._indexed: set[tuple[str, str]] = set()
        self._inserted = 0
        self._defines = False

    def create_table(self, name: str) -> str:
        """Create a table and return its id. Raises TableExists, TooManyTables, ReservedTable."""
        if not _TABLE_NAME.fullmatch(name):
            raise errors.WrongDocument("a table's name is letters, digits and underscores, at most 128")
        if name == GRAFT:
            raise errors.ReservedTable(f"{GRAFT} is the ledger's own table; take another name")
        if name in self._tables:
            raise errors.TableExists(f"there is a table {name} already")
        self._check_active()
        if len(self._tables.keys() - {GRAFT}) + len(self._dropped) >= MOST_TABLES_IN_ALL:
            raise errors.TooManyTables(f"the ledger has {MOST_TABLES_IN_ALL} tables in all, the most that are allowed")
        table_id = derived_id(self.transaction_id, name)
        self._define(texts.create_table(name), {"id": table_id, "name": name})
        self._tables[name] = Table(name, -1, table_id, table_id)
        return table_id

    def create_index(self, table: str, field: str) -> str:
        """Index a field, so that later transactions can find documents by it. Returns the index's id.

        Raises IndexExists, TooManyIndexes.
        """
        known = self._table(table)
        if not field or not field.isprintable() or set(field) & set('")'):
            raise errors.WrongDocument("an index is on one field, whose name has no quotes and no parentheses")
        if field in known.indexes or (table, field) in self._indexed:
            raise errors.IndexExists(f"table {table} has an index on this field already")
        own = [name for name, _ in self._indexed if name == table]
        if len(known.indexes) + len(own) >= MOST_INDEXES:
            raise errors.TooManyIndexes(f"table {table} has {MOST_INDEXES} indexes, the most that are allowed")
        self._define(texts.create_index(table, field), {"table": known.name, "field": field})
        self._indexed.add((table, field))
        return derived_index_id(self.transaction_id, table, field)

    def drop_index(self, table: str, index_id: str) -> None:
        """Drop an index. Documents can then be found by its field only by reading the whole table."""
        known = self._table(table)
        fields = [field for field, id_ in known.index_ids.items() if id_ == index_id]
        if not fields:
            raise errors.NoSuchIndex(f"table {table} has no index of this id")
        self._define(texts.drop_index(index_id, table), {"table": known.name, "index": index_id})
        kept = {field: id_ for field, id_ in known.index_ids.items() if field not in fields}
        self._tables[table] = replace(known, indexes=[one for one in known.indexes if one in kept], index_ids=kept)

    def drop_table(self, table: str) -> None:
        """Drop a table. Its name becomes free; its documents stay in the journal."""
        known = self._table(table)
        if table == GRAFT:
            raise errors.ReservedTable(f"{GRAFT} is the ledger's own table and cannot be dropped")
        self._define(texts.drop_table(table), {"table": known.name, "dropped": True})
        del self._tables[table]
        self._dropped[_id(known)] = replace(known, active=False)

    def undrop_table(self, table_id: str) -> None:
        """Activate a dropped table again, with its documents. Raises NoSuchTable, TableExists, TooManyTables."""
        known = self._dropped.get(table_id)
        if known is None:
            raise errors.NoSuchTable("no dropped table has this id")
        if known.name in self._tables:
            raise errors.TableExists(f"there is a table {known.name} already")
        self._check_active()
        self._define(texts.undrop_table(table_id), {"table": known.name, "undropped": True})
        self._tables[known.name] = replace(known, active=True)
        del self._dropped[table_id]

    def insert(self, table: str, document: Mapping[str, Any]) -> str:
        """Insert a document and return its id."""
        known = self._writable(table)
        data, data_ion = as_document(document)
        document_id = derived_id(self.transaction_id, "document", str(self._inserted))
        self._inserted += 1
        index = self._record(texts.insert(table), data)
        self._change(document_id, _Change(known, _id(known), 0, data, data_ion, [index]))
        return document_id

    def update(self, table: str, document_id: str, values: Mapping[str, Any]) -> None:
        """Set attributes of a document; its other attributes do not change. Raises NoSuchDocument."""
        if not values:
            raise errors.WrongDocument("an update sets at least one attribute")
        taken = {name: as_ion(value)[0] for name, value in values.items()}
        known, before = self._writable(table), self._current(table, document_id)
        index = self._record(texts.update(table, taken), *taken.values(), document_id)
        data = self._data(before)
        self._rewrite(known, before, alike(data, {**data, **taken}), index)

    def remove(self, table: str, document_id: str, attribute: str) -> None:
        """Remove an attribute of a document; a no-op if it has none of that name. Raises NoSuchDocument."""
        known, before = self._writable(table), self._current(table, document_id)
        index = self._record(texts.remove(table, attribute), document_id)
        data = self._data(before)
        self._rewrite(known, before, alike(data, {k: v for k, v in data.items() if k != attribute}), index)

    def delete(self, table: str, document_id: str) -> None:
        """Delete a document. Its earlier revisions stay in the history. Raises NoSuchDocument."""
        known, before = self._writable(table), self._current(table, document_id)
        index = self._record(texts.delete(table), document_id)
        self._rewrite(known, before, None, index)

    def redact_revision(self, block_address: Mapping[str, Any], table_id: str, document_id: str) -> RedactedRevision:
        """Redact the revision of a document in the block at this address: `{strandId, sequenceNo}`.

        Raises NoSuchRevision, ActiveRevision, NothingToRedact, TooManyRedactions (a transaction may redact one).
        """
        strand_id, number = block_address.get("strandId"), block_address.get("sequenceNo")
        if self._strand_id is None or strand_id != self._strand_id or not isinstance(number, int):
            raise errors.NoSuchRevision("the address is of another strand, or has no sequenceNo")
        if self._redactions:
            raise errors.TooManyRedactions("a transaction redacts one revision; redact the next in another")
        self._reads.documents.add(document_id)
        found = self._reading.revision_at(number, table_id, document_id)
        if found is None:
            raise errors.NoSuchRevision(f"block {number} has no revision of document {document_id} in that table")
        version, state, replaced = found
        if not replaced and state != "deleted":
            raise errors.ActiveRevision(
                f"version {version} of document {document_id} is its current one: update or delete the document first"
            )
        if state != "normal":
            raise errors.NothingToRedact(f"version {version} of document {document_id} is {state}: it has no data")
        address = {"strandId": strand_id, "sequenceNo": number}
        self._record(texts.REDACT, address, table_id, document_id)
        self._redactions.append(NewRedaction(number, table_id, document_id, version))
        return RedactedRevision(self._strand_id, number, table_id, document_id, version)

    def get(self, table: str, document_id: str) -> Document | None:
        """Return the current document of this id, None if the table has none."""
        known = self._table(table)
        self._record(texts.find_by_id(table), document_id)
        found = self._find(known, document_id)
        self._reading.check_readable([found] if found is not None else [])
        return found

    def find(self, table: str, field: str, value: Any) -> list[Document]:
        """Return the current documents whose indexed field equals the value. Raises NotIndexed."""
        known, wanted = self._table(table), as_ion(value)[0]
        if field not in known.indexes:
            raise errors.NotIndexed(f"table {table} has no index on this field: create_index it, or get by document id")
        self._record(texts.find_by_value(table, field), wanted)
        table_id = _id(known)
        self._reads.equalities.setdefault((table_id, field), []).append(as_json(wanted))
        found = [one for one in self._reading.matching(table_id, field, wanted) if one.document_id not in self._changes]
        self._reading.check_readable(found)
        self._reads.documents.update(one.document_id for one in found)
        return found + self._own_matching(table_id, field, as_json(wanted))

    def history(
        self,
        table: str,
        document_id: str | None = None,
        *,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
    ) -> list[Document]:
        """Return the committed revisions of a document, or of a table, that were active at some time of the period.

        They include deletions and redacted revisions; `state` names them.
        """
        known = self._table(table)
        period = [from_time or _BEGINNING, to_time] if to_time else [from_time] if from_time else []
        values: list[Any] = [timestamp(round(time.timestamp() * 1000)) for time in period if time]
        values += [document_id] if document_id is not None else []
        text = texts.history(table, period=len(period), document=document_id is not None)
        self._record(text, *values)
        table_id = _id(known)
        if document_id is None:
            self._reads.tables.add(table_id)
        else:
            self._reads.documents.add(document_id)
        found = list(self._reading.history(table_id, document_id, from_time, to_time))
        self._reading.check_readable(found)
        return found

    def user_tables(self) -> list[UserTable]:
        """Return the active tables, by name."""
        self._record(texts.USER_TABLES)
        return [UserTable(t.table_id, t.name, tuple(t.indexes)) for _, t in sorted(self._tables.items())]

    def prepare(self, request_id: str | None = None) -> Prepared | None:
        """Return the finished transaction, None if it did nothing."""
        if not self._statements:
            return None
        if self._reading.begun:
            self._reads.since = self._reading.end
        return Prepared(
            self.transaction_id,
            tuple(self._statements),
            tuple(
                _revision(id_, change)
                for id_, change in self._changes.items()
                if change.version or change.data is not None  # a document that it inserted and deleted never existed
            ),
            tuple(self._redactions),
            tuple(self._system_revisions),
            self._defines,
            self._reads,
            request_id,
        )

    def _table(self, name: str) -> Table:
        if (table := self._tables.get(name)) is None:
            raise errors.NoSuchTable(f"there is no active table {name}")
        return table

    def _check_active(self) -> None:
        if len(self._tables.keys() - {GRAFT}) >= MOST_TABLES:
            raise errors.TooManyTables(f"the ledger has {MOST_TABLES} active tables, the most that are allowed")

    def _writable(self, name: str) -> Table:
        if name == GRAFT:
            raise errors.ReservedTable(f"{GRAFT} is the ledger's own table")
        return self._table(name)

    def _define(self, text: str, what: dict[str, Any]) -> None:
        # QLDB exports only the hash of a table's or an index's own revision.
        self._system_revisions.append(ion_hash({**what, "txId": self.transaction_id}))
        self._defines = True
        self._record(text)

    def _record(self, text: str, *parameters: Any) -> int:
        self._statements.append(Statement(text, timestamp(time.time_ns() // 1_000_000), parameters))
        return len(self._statements) - 1

    def _find(self, table: Table, document_id: str) -> Document | None:
        table_id = _id(table)
        if (own := self._changes.get(document_id)) is not None:
            absent = own.data is None or own.table_id != table_id
            return None if absent else Document(document_id, own.version, own.data)
        self._reads.documents.add(document_id)
        return self._reading.document(table_id, document_id)

    def _own_matching(self, table_id: str, field: str, value: Any) -> list[Document]:
        return [
            Document(id_, own.version, own.data)
            for id_, own in self._changes.items()
            if own.table_id == table_id
            and own.data is not None
            and comparable(as_json(own.data).get(field, _MISSING)) == comparable(value)
        ]

    def _current(self, table: str, document_id: str) -> Document:
        found = self._find(self._table(table), document_id)
        if found is None:
            raise errors.NoSuchDocument(f"table {table} has no current document {document_id}")
        return found

    def _data(self, document: Document) -> dict[str, Any]:
        if document.data is None and self._reading.earlier:
            return {}  # redacted since; this run writes nothing, so the data does not matter
        if document.data is None:
            raise errors.NoSuchDocument(f"document {document.document_id} has no data: its revision is redacted")
        return document.data

    def _rewrite(self, table: Table, before: Document, data: Mapping[str, Any] | None, index: int) -> None:
        after, data_ion = as_document(data) if data is not None else (None, b"")
        own = self._changes.get(before.document_id)
        version = before.version + 1 if own is None else own.version
        indexes = [*(own.statements if own else ()), index]
        self._change(before.document_id, _Change(table, _id(table), version, after, data_ion, indexes))

    def _change(self, document_id: str, change: _Change) -> None:
        if document_id not in self._changes and len(self._changes) >= MOST_DOCUMENTS:
            raise errors.TooManyDocuments(f"a transaction writes {MOST_DOCUMENTS} documents at most; begin another")
        others = sum(len(own.data_ion) for id_, own in self._changes.items() if id_ != document_id)
        if others + len(change.data_ion) > MOST_BYTES:
            raise errors.TransactionTooLarge(f"a transaction's documents have {MOST_BYTES:,} bytes at most")
        self._changes[document_id] = change


def _revision(document_id: str, change: _Change) -> NewRevision:
    data_hash = None if change.data is None else ion_hash(change.data)
    return NewRevision(
        document_id, change.table_id, change.table.name, change.version, change.data, tuple(change.statements),
        data_hash, change.data_ion,
    )  # fmt: skip


def _id(table: Table) -> str:
    table_id = table.table_id or table.derived_id
    assert table_id is not None
    return table_id
