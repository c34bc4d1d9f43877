"""Issues receipts: what was erased, when, to which level, and how that was checked."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from strandline.consumer.database.connection import Connection
from strandline.consumer.database.planner import BY_INDEX
from strandline.consumer.erasure.probe import Residue, key_columns, probe
from strandline.consumer.erasure.receipt_chain import Level, append, lock_chain
from strandline.consumer.exports.register import holding
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.sinks.contract import Key
from strandline.consumer.store.redactions import IS_HIDDEN, IS_IN_EFFECT

REDACTIONS_AT_ONCE = 1000
OUT_OF_SCOPE = (
    "write-ahead log, replicas, backups and snapshots of the database",
    "records in Kinesis until their retention ends",
    "exports and archives of the journal, and older versions of them in buckets (see `strandline scrub`)",
    "other statements and documents that quote the data",
    "copies of read models: those of `strandline export-model` that hold the revision (`exports`), and any other",
)
CHECKED: dict[tuple[str, Level], str] = {
    ("postgresql", "hidden"): "the revision has no data in the journal, and every generation has passed the redaction; "
    "each read model of a known definition was asked for rows of the revision",
    ("postgresql", "expunged"): "as hidden; then every table that had the data was vacuumed, and no dead row was left",
    ("postgresql", "physical"): "as hidden; then every table that had the data was rewritten, and no dead row was left",
    ("opensearch", "hidden"): "every generation has passed the redaction; each index of a known definition was "
    "refreshed, and searched for rows of the revision",
    ("opensearch", "expunged"): "as hidden; then every index was flushed and merged, and no deleted row was left",
    ("opensearch", "physical"): "as expunged; then no search kept former files open, and no log was left",
}

COLUMNS = """
    d.document_id, d.version, d.table_id, d.sequence_no, d.redacted_by, d.data_hash, d.found, d.registered_at,
    m.strand_id"""
# All generations, since one that is being built or kept may have been filled before the redaction took effect.
IS_PASSED = f"""
    {IS_IN_EFFECT}
    AND d.effective_no <= coalesce((SELECT min(clean_no) FROM projection.generation), d.effective_no)"""
READ_DUE = f"""
    SELECT d.effective_no, {COLUMNS} FROM journal.redaction d, journal.mark m
    WHERE NOT {IS_HIDDEN} AND {IS_PASSED} AND (d.effective_no, d.document_id, d.version) > (%s, %s, %s)
    ORDER BY d.effective_no, d.document_id, d.version LIMIT %s"""
# By the receipts themselves, whatever the register says of them.
COUNT_WITHOUT = f"""
    SELECT count(*) FROM journal.redaction d, journal.mark m WHERE {IS_PASSED} AND NOT EXISTS (
        SELECT FROM projection.receipt r
        WHERE r.document_id = d.document_id AND r.version = d.version AND r.level = 'hidden')"""
SET_HIDDEN = """
    WITH hidden AS (
        UPDATE journal.redaction d SET hidden = true
        FROM unnest(%s::text[], %s::bigint[]) AS named (document_id, version)
        WHERE d.document_id = named.document_id AND d.version = named.version AND NOT d.hidden
        RETURNING 1
    )
    UPDATE projection.receipt_head SET hidden = hidden + (SELECT count(*) FROM hidden)"""
READ_NAMED = f"""
    SELECT {COLUMNS} FROM journal.mark m, journal.redaction d
    JOIN unnest(%s::text[], %s::bigint[]) AS named (document_id, version) USING (document_id, version)
    ORDER BY d.document_id, d.version"""
READ_STORES = "SELECT DISTINCT store FROM projection.generation WHERE store <> 'postgresql' ORDER BY store"
READ_MODELS = """
    SELECT projection, generation, clean_no FROM projection.generation
    WHERE store = %s ORDER BY projection, generation"""
READ_PURGES = """
    SELECT document_id, version, generation, rows FROM projection.purge
    JOIN unnest(%s::text[], %s::bigint[]) AS named (document_id, version) USING (document_id, version)"""
READ_OPEN_FOR = f"""
    SELECT extract(epoch FROM now() - min(d.registered_at))::float8
    FROM journal.redaction d, journal.mark m WHERE {IS_IN_EFFECT} AND NOT {IS_HIDDEN}"""
READ_ISSUED = """
    SELECT document_id, version, store FROM projection.receipt
    JOIN unnest(%s::text[], %s::bigint[]) AS named (document_id, version) USING (document_id, version)
    WHERE level = %s"""


@dataclass(frozen=True)
class Issued:
    """The number of receipts issued, and the residue found: redactions with residue get no receipt."""

    receipts: int
    residue: list[Residue]


def issue_hidden(connection: Connection, projections: Mapping[str, Projection], stores: Stores) -> Issued:
    """Issue the receipts of every redaction that all generations have passed. Idempotent.

    Issues none while a store with read models is off: it cannot be searched. The connection must be outside a
    transaction. Raises `StoreFailed`.
    """
    receipts, residue, last = 0, list[Residue](), (-1, "", -1)
    while True:
        with connection.transaction():
            lock_chain(connection)
            connection.execute(BY_INDEX)
            due = connection.execute(READ_DUE, [*last, REDACTIONS_AT_ONCE]).fetchall()
            if not due or unsearched_stores(connection, stores):
                return Issued(receipts, residue)
            last = due[-1][:3]
            outside = [store for (store,) in connection.execute(READ_STORES)]
            rows = [row[1:] for row in due]
            issued = _issue(connection, projections, stores, rows, ["postgresql", *outside], "hidden")
        receipts += issued.receipts
        residue += issued.residue


def issue(
    connection: Connection,
    projections: Mapping[str, Projection],
    stores: Stores,
    keys: Sequence[Key],
    store: str,
    level: Level,
) -> Issued:
    """Issue the receipts of one store for a level beyond hidden, which the caller has brought these redactions to.

    Raises `StoreFailed`.
    """
    receipts, residue = 0, list[Residue]()
    for start in range(0, len(keys), REDACTIONS_AT_ONCE):
        with connection.transaction():
            lock_chain(connection)
            connection.execute(BY_INDEX)
            named = key_columns(keys[start : start + REDACTIONS_AT_ONCE])
            rows = connection.execute(READ_NAMED, named).fetchall()
            issued = _issue(connection, projections, stores, rows, [store], level)
        receipts += issued.receipts
        residue += issued.residue
    return Issued(receipts, residue)


def unsearched_stores(connection: Connection, stores: Stores) -> list[str]:
    """Return the stores that have read models and are off."""
    return [] if stores.opensearch else [store for (store,) in connection.execute(READ_STORES)]


def count_without(connection: Connection) -> int:
    """Return the number of redactions that every generation has passed and that have no receipt."""
    row = connection.execute(COUNT_WITHOUT).fetchone()
    return int(row[0]) if row else 0


def open_for(connection: Connection) -> float | None:
    """Return the seconds since the oldest redaction took effect that is not hidden everywhere; None without one."""
    row = connection.execute(READ_OPEN_FOR).fetchone()
    return row[0] if row else None


def _issue(
    connection: Connection,
    projections: Mapping[str, Projection],
    stores: Stores,
    redactions: Sequence[tuple[Any, ...]],
    store_names: Sequence[str],
    level: Level,
) -> Issued:
    residue = list(probe(connection, projections, stores, [row[:2] for row in redactions]))
    bad = {(one.document_id, one.version) for one in residue}
    good = [row for row in redactions if row[:2] not in bad]
    contents = list(_contents(connection, good, store_names, level)) if good else []
    append(connection, contents)
    if level == "hidden":
        connection.execute(SET_HIDDEN, key_columns([row[:2] for row in good]))
    return Issued(len(contents), residue)


def _contents(
    connection: Connection, redactions: Sequence[tuple[Any, ...]], store_names: Sequence[str], level: Level
) -> Iterator[dict[str, Any]]:
    """Yield the content of each receipt that is not issued yet, one a redaction and store."""
    columns = key_columns([row[:2] for row in redactions])
    issued = set(connection.execute(READ_ISSUED, [*columns, level]).fetchall())
    models = {store: connection.execute(READ_MODELS, [store]).fetchall() for store in store_names}
    exports: dict[tuple[str, int], list[int]] = {}
    for key, export in holding(connection, columns):
        exports.setdefault(key, []).append(export)
    purges = {tuple(purge): rows for *purge, rows in connection.execute(READ_PURGES, columns)}
    for redaction in redactions:
        for store in store_names:
            if (*redaction[:2], store) not in issued:
                read_models = [
                    {
                        "name": name,
                        "generation": generation,
                        "position": position,
                        "rowsReplaced": purges.get((*redaction[:2], generation), 0),
                    }
                    for name, generation, position in models[store]
                ]
                yield _content(redaction, store, level, read_models, exports.get(redaction[:2], []))


def _content(
    redaction: tuple[Any, ...],
    store: str,
    level: Level,
    read_models: Sequence[Mapping[str, Any]],
    exports: Sequence[int],
) -> dict[str, Any]:
    document_id, version, table_id, sequence_no, redacted_by, data_hash, found, registered_at, strand_id = redaction
    return {
        "documentId": document_id,
        "version": version,
        "tableId": table_id,
        "blockAddress": {"strandId": strand_id, "sequenceNo": sequence_no},
        "redactedBy": redacted_by,
        "dataHash": None if data_hash is None else b64encode(data_hash).decode(),
        "found": found,
        "store": store,
        "level": level,
        "readModels": read_models,
        "checked": CHECKED[store, level],
        "effectiveAt": registered_at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "issuedAt": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "outOfScope": list(OUT_OF_SCOPE),
        "exports": list(exports),
    }
