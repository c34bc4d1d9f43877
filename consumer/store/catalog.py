"""The catalog: the ledger's tables, as the journal up to the mark defines them, and their views in schema `ledger`.

A block names the tables of its documents by id and name. CREATE, DROP and UNDROP statements give the rest, but by
name: QLDB wrote a table's id into system revisions, of which the journal shows only hashes. So a table's id is known
from its first document on; earlier statements about its name then belong to it. Blocks that Strandline appended
(graft.py) derive a table's id from the transaction's, so it is known from the start.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg.sql import SQL, Composed, Identifier, Literal

from strandline.consumer.database.connection import Connection
from strandline.consumer.store.graft import TABLE as GRAFT
from strandline.journal.make.ids import derived_id

COMMITTED = "_ql_committed_"
NAME_BYTES = 63  # PostgreSQL's limit
TAKEN = frozenset(("user_tables", "user_table_fields"))  # relations of schema ledger that are no table's view

UNKNOWN_TABLES = """
    SELECT t.table_id, (array_agg(t.name ORDER BY b.sequence_no))[1], min(b.sequence_no)
    FROM (
        -- Very many blocks name the same few.
        SELECT tables, min(sequence_no) AS sequence_no FROM journal.block
        WHERE sequence_no BETWEEN %(first)s AND %(last)s GROUP BY tables
    ) b, jsonb_each_text(b.tables) AS t (table_id, name)
    WHERE NOT EXISTS (SELECT FROM journal.user_table u WHERE u.table_id = t.table_id)
    GROUP BY t.table_id"""

HAS_DEFINITIONS = """
    SELECT EXISTS (
        SELECT FROM journal.block WHERE definitions <> '{}' AND sequence_no BETWEEN %(first)s AND %(last)s)"""

DEFINITIONS = """
    SELECT sequence_no, definitions, transaction_id FROM journal.block
    WHERE definitions <> '{}' AND sequence_no <= greatest(%(last)s, (SELECT sequence_no FROM journal.mark))
    ORDER BY sequence_no"""

KNOWN_TABLES = "SELECT table_id, name, first_no, view_name FROM journal.user_table"

REMOVE_UNNAMED = """
    DELETE FROM journal.user_table u
    WHERE u.first_no = ANY (%s) AND NOT EXISTS (SELECT FROM journal.document d WHERE d.table_id = u.table_id)
    RETURNING u.view_name"""

CLEAR_TABLES = "DELETE FROM journal.user_table"

ADD_TABLE = """
    INSERT INTO journal.user_table (table_id, name, status, view_name, indexes, first_no)
    VALUES (%s, %s, %s, %s, %s, %s)"""

CREATE_CURRENT = SQL(
    "CREATE VIEW ledger.{view} AS"
    " SELECT document_id, version, (journal.revision_at(sequence_no, document_id, version)).data AS data"
    " FROM journal.document WHERE table_id = {table_id} AND NOT deleted"
)
CREATE_COMMITTED = SQL(
    "CREATE VIEW ledger.{view} AS"
    " SELECT block_address, hash, state, data, data_hash, metadata, document_id, version"
    " FROM journal.current_revision WHERE table_id = {table_id}"
)
# Renamed, never dropped: objects that others built on a view would forbid that.
# With what others built on it: its table was never in the ledger.
DROP = SQL("DROP VIEW ledger.{view} CASCADE")
RENAME = SQL("ALTER VIEW ledger.{old} RENAME TO {new}")
GRANT = SQL("GRANT SELECT ON ledger.{view} TO strandline_cleared")

_NAME = r'(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^\s"();]+))'
_CREATE_TABLE = re.compile(rf"\s*CREATE\s+TABLE\s+{_NAME}", re.IGNORECASE)
_CREATE_INDEX = re.compile(rf"\s*CREATE\s+INDEX\s+ON\s+{_NAME}\s*\((?P<field>[^)]+)\)", re.IGNORECASE)
_DROP_TABLE = re.compile(rf"\s*DROP\s+TABLE\s+{_NAME}", re.IGNORECASE)
_UNDROP_TABLE = re.compile(rf"\s*UNDROP\s+TABLE\s+{_NAME}", re.IGNORECASE)
_DROP_INDEX = re.compile(rf"\s*DROP\s+INDEX\s+{_NAME}\s+ON\s+(?P<table>\"(?:[^\"]|\"\")+\"|[^\s();]+)", re.IGNORECASE)
_COMMENT = re.compile(r'("(?:[^"]++|"")*+"|`[^`]*+`)|--[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/')


@dataclass
class Table:
    """A table of the ledger; `table_id` is None until its first document gives it.

    `derived_id` is the id that an append gives it, unless a document of QLDB's gives another. `index_ids` are the
    ids of its indexes, by field. They are derived, because the journal holds none of QLDB's own.
    """

    name: str
    first_no: int
    table_id: str | None = None
    derived_id: str | None = None
    active: bool = True
    indexes: list[str] = field(default_factory=list)
    index_ids: dict[str, str] = field(default_factory=dict)


class Tables:
    """The tables of a ledger, from its statements and documents in the journal's order."""

    def __init__(self) -> None:
        self._active: dict[str, Table] = {}
        self._known: dict[str, Table] = {}

    def define(
        self, sequence_no: int, statement: str, transaction_id: str | None = None, *, appended: bool = False
    ) -> None:
        """Apply a CREATE, DROP or UNDROP statement. (QLDB's DROP INDEX names an id that the journal does not show.)"""
        statement = _COMMENT.sub(lambda found: found[1] or " ", statement)
        if found := _CREATE_TABLE.match(statement):
            self._create(_name(found), sequence_no, transaction_id, appended)
        elif found := _CREATE_INDEX.match(statement):
            self._index(_name(found), found["field"].strip().strip('"'), transaction_id or "")
        elif found := _DROP_TABLE.match(statement):
            self._drop(_name(found))
        elif (found := _UNDROP_TABLE.match(statement)) and (table := self._known.get(_name(found))):
            self._activate(table)
        elif found := _DROP_INDEX.match(statement):
            self._drop_index(_name(found), found["table"].strip('"'))

    def see(self, sequence_no: int, table_id: str, name: str) -> None:
        """Apply the first document of a table."""
        if table_id in self._known:
            return
        table = self._active.get(name)
        if table is None or table.table_id is not None:
            table = Table(name, sequence_no)
            self._activate(table)
        table.table_id = table_id
        table.first_no = sequence_no
        self._known[table_id] = table

    def known(self) -> dict[str, Table]:
        """Return the tables whose ids are known, by id."""
        return self._known

    def active(self) -> dict[str, Table]:
        """Return the active tables by name, those without a document included."""
        return self._active

    def dropped(self) -> dict[str, Table]:
        """Return the tables that were dropped and whose ids are known, by id."""
        return {table_id: table for table_id, table in self._known.items() if not table.active}

    def _create(self, name: str, sequence_no: int, transaction_id: str | None, appended: bool) -> None:
        table = Table(name, sequence_no, derived_id=derived_id(transaction_id or "", name))
        self._activate(table)
        if appended and table.derived_id:
            table.table_id = table.derived_id
            self._known[table.derived_id] = table

    def _activate(self, table: Table) -> None:
        self._drop(table.name)  # a ledger has one active table of a name, so the other was dropped
        table.active = True
        self._active[table.name] = table

    def _drop(self, name: str) -> None:
        if dropped := self._active.pop(name, None):
            dropped.active = False

    def _index(self, name: str, indexed: str, transaction_id: str) -> None:
        table = self._active.get(name)
        if table is not None and indexed not in table.indexes:
            table.indexes.append(indexed)
            table.index_ids[indexed] = derived_index_id(transaction_id, name, indexed)

    def _drop_index(self, index_id: str, name: str) -> None:
        table = self._active.get(name)
        for indexed, id_ in list(table.index_ids.items()) if table is not None else ():
            if table is not None and id_ == index_id:
                table.indexes.remove(indexed)
                del table.index_ids[indexed]


def derived_index_id(transaction_id: str, table: str, field: str) -> str:
    """Return the id of an index that the transaction creates."""
    return derived_id(transaction_id, "index", table, field)


def apply(connection: Connection, first: int, last: int, named: Mapping[str, tuple[str, int]] | None = None) -> None:
    """Create or rename the `ledger` views of tables that blocks `first` to `last` name or define.

    Runs in the caller's transaction. `named` has the tables of their documents, if they are known (a `Tally`'s).
    """
    between = {"first": first, "last": last}
    if named is None:
        unknown = connection.execute(UNKNOWN_TABLES, between, prepare=False).fetchall()
    else:
        known = {table_id for table_id, *_ in connection.execute(KNOWN_TABLES)}
        unknown = [(table_id, *named[table_id]) for table_id in named.keys() - known]
    defines = connection.execute(HAS_DEFINITIONS, between, prepare=False).fetchone()
    if not unknown and defines == (False,):
        return
    _update(connection, last, unknown)


def _update(connection: Connection, last: int, unknown: Iterable[tuple[str, str, int]]) -> None:
    """Derive the tables again, with those of `unknown` (id, name, first block), and rename or create their views."""
    stored = connection.execute(KNOWN_TABLES).fetchall()
    seen = [(number, table_id, name) for table_id, name, number, *_ in [*stored, *unknown]]
    tables = _tables(connection.execute(DEFINITIONS, {"last": last}, prepare=False), seen).known()
    new = tables.keys() - {table_id for table_id, *_ in stored}
    names = view_names(tables)
    _rename_views(
        connection, [(view, names[table_id]) for table_id, _, _, view in stored], {t.name for t in tables.values()}
    )
    for table_id in sorted(new):
        _create_views(connection, table_id, names[table_id])
    with connection.cursor() as cursor:
        cursor.execute(CLEAR_TABLES)
        cursor.executemany(ADD_TABLE, _rows(tables, names))


def remove_unnamed(connection: Connection, numbers: Sequence[int]) -> None:
    """Remove tables first seen in these blocks that no revision is in: an upgrade has given their revisions others."""
    views = connection.execute(REMOVE_UNNAMED, [list(numbers)], prepare=False).fetchall()
    for name in (name for (view,) in views for name in (view, COMMITTED + view)):
        connection.execute(DROP.format(view=Identifier(name)))
    if views:
        _update(connection, max(numbers), [])


def read_active(connection: Connection, last: int) -> dict[str, Table]:
    """Return the active tables as of a block at or below the mark, by name, those without a document included."""
    return read_tables(connection, last).active()


def read_tables(connection: Connection, last: int) -> Tables:
    """Return the tables as of a block at or below the mark."""
    stored = connection.execute(KNOWN_TABLES).fetchall()
    seen = [(number, table_id, name) for table_id, name, number, *_ in stored if number <= last]
    definitions = connection.execute(DEFINITIONS, {"last": last}, prepare=False)
    return _tables((definition for definition in definitions if definition[0] <= last), seen)


def view_names(tables: dict[str, Table]) -> dict[str, str]:
    """Return the name of each table's view, by table id.

    The active table of a name has it plain, or else the newest; a clash, or a name that with the committed view's
    prefix is too long, gets a suffix from the table's id.
    """
    taken = set(TAKEN)
    names = {}
    for table_id, table in sorted(tables.items(), key=_precedence):
        name = next(name for name in _spellings(table.name, table_id) if not taken & {name, COMMITTED + name})
        taken |= {name, COMMITTED + name}
        names[table_id] = name
    return names


def _precedence(item: tuple[str, Table]) -> tuple[bool, int, str]:
    """Order active tables first, by age, so that no newer one takes a name from them; then the newest."""
    table_id, table = item
    return (False, table.first_no, table_id) if table.active else (True, -table.first_no, table_id)


def _spellings(name: str, table_id: str) -> Iterable[str]:
    digest = hashlib.sha256(table_id.encode()).hexdigest()
    if name and len((COMMITTED + name).encode()) <= NAME_BYTES:
        yield name
    for length in (8, 16, 32):  # a view must have a name, also if its table has none
        room = NAME_BYTES - len(COMMITTED) - 1 - length
        yield f"{name.encode()[:room].decode(errors='ignore')}_{digest[:length]}"


def _tables(
    definitions: Iterable[tuple[int, Sequence[str], str | None]], seen: Iterable[tuple[int, str, str]]
) -> Tables:
    """Apply both kinds in one order; within a block, definitions come first."""
    documents = list(seen)
    graft = min((number for number, _, name in documents if name == GRAFT), default=None)
    events: list[tuple[int, int, tuple[str, ...]]] = [(number, 1, (table, name)) for number, table, name in documents]
    events += [(number, 0, (statement, id_ or "")) for number, texts, id_ in definitions for statement in texts]
    tables = Tables()
    for number, is_document, event in sorted(events, key=lambda one: one[:2]):
        if is_document:
            tables.see(number, *event)
        else:
            tables.define(number, *event, appended=graft is not None and number >= graft)
    return tables


def _rename_views(connection: Connection, views: Iterable[tuple[str, str]], plain: set[str]) -> None:
    changed = [(before, after) for before, after in views if before != after]
    # A plain name may be one that another view leaves in this call, for a name with a suffix.
    for before, after in sorted(changed, key=lambda names: names[1] in plain):
        connection.execute(RENAME.format(old=Identifier(before), new=Identifier(after)))
        connection.execute(RENAME.format(old=Identifier(COMMITTED + before), new=Identifier(COMMITTED + after)))


def _create_views(connection: Connection, table_id: str, name: str) -> None:
    for template, view in ((CREATE_CURRENT, name), (CREATE_COMMITTED, COMMITTED + name)):
        connection.execute(_filled(template, view, table_id))
        connection.execute(GRANT.format(view=Identifier(view)))


def _filled(template: SQL, view: str, table_id: str) -> Composed:
    return template.format(view=Identifier(view), table_id=Literal(table_id))


def _rows(tables: dict[str, Table], names: dict[str, str]) -> list[tuple[object, ...]]:
    return [
        (key, table.name, "ACTIVE" if table.active else "INACTIVE", names[key], table.indexes, table.first_no)
        for key, table in tables.items()
    ]


def _name(found: re.Match[str]) -> str:
    quoted: str | None = found["quoted"]
    return quoted.replace('""', '"') if quoted is not None else str(found["plain"])
