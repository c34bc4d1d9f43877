"""Receipts: what was erased where, when, how far and how that was checked; each holds the hash of the one before.

A redaction has one for each store and each level that it has reached there: *hidden*, no query finds it; *expunged*,
the deleted rows are vacuumed, or merged away; *physical*, the bytes are gone from the store's files. They hold no data.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import psycopg

from strandline.consumer.erasure.probe import Found, Key, key_columns, probe
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection

Connection = psycopg.Connection[tuple[Any, ...]]
Level = Literal["hidden", "expunged", "physical"]

AT_ONCE = 1000
NOTHING = bytes(32)  # what the first receipt names as the hash before it
OUT_OF_SCOPE = (
    "write-ahead log, replicas, backups and snapshots of the database",
    "records in Kinesis until their retention ends",
    "exports and archives of the journal (see `strandline scrub`)",
    "other statements and documents that quote the data",
)
CHECKED: dict[tuple[str, Level], str] = {
    ("postgresql", "hidden"): "the revision has no data in the journal, and every generation has passed the redaction; "
    "each read model of a known definition was asked for rows of the revision",
    ("postgresql", "expunged"): "as hidden; then every table that had held it was vacuumed, and no dead row was left",
    ("postgresql", "physical"): "as hidden; then every table that had held it was rewritten, and no dead row was left",
    ("opensearch", "hidden"): "every generation has passed the redaction; each index of a known definition was "
    "refreshed, and searched for rows of the revision",
    ("opensearch", "expunged"): "as hidden; then every index was flushed and merged, and no deleted row was left",
    ("opensearch", "physical"): "as expunged; then no search that held former files was open, and no log was left",
}

LOCK = "SELECT pg_advisory_xact_lock(%s)"
LOCK_KEY = int.from_bytes(b"receipt", "big")
# All generations, since one that is being built or kept may have been filled before the redaction took effect.
READ_DUE = """
    SELECT d.document_id, d.version, d.table_id, d.sequence_no, d.redacted_by, d.data_hash, d.found, d.registered_at,
           m.strand_id
    FROM journal.redaction d, journal.mark m
    WHERE d.effective_no <= least(m.sequence_no, (SELECT min(clean_no) FROM projection.generation))
      AND NOT EXISTS (
          SELECT FROM projection.receipt r
          WHERE r.document_id = d.document_id AND r.version = d.version AND r.level = 'hidden')
      AND (d.document_id, d.version) > (%s, %s)
    ORDER BY d.document_id, d.version LIMIT %s"""
READ_NAMED = """
    SELECT d.document_id, d.version, d.table_id, d.sequence_no, d.redacted_by, d.data_hash, d.found, d.registered_at,
           m.strand_id
    FROM journal.mark m, journal.redaction d
    JOIN unnest(%s::text[], %s::bigint[]) AS named (document_id, version) USING (document_id, version)
    ORDER BY d.document_id, d.version"""
READ_STORES = "SELECT DISTINCT store FROM projection.generation WHERE store <> 'postgresql' ORDER BY store"
READ_MODELS = """
    SELECT projection, generation, clean_no FROM projection.generation
    WHERE store = %s ORDER BY projection, generation"""
READ_PURGES = """
    SELECT document_id, version, generation, rows FROM projection.purge
    JOIN unnest(%s::text[], %s::bigint[]) AS named (document_id, version) USING (document_id, version)"""
READ_OPEN_FOR = """
    SELECT extract(epoch FROM now() - min(d.registered_at))::float8
    FROM journal.redaction d, journal.mark m
    WHERE d.effective_no <= m.sequence_no AND NOT EXISTS (
        SELECT FROM projection.receipt r
        WHERE r.document_id = d.document_id AND r.version = d.version AND r.level = 'hidden')"""
READ_LAST = "SELECT number, hash FROM projection.receipt ORDER BY number DESC LIMIT 1"
INSERT = """
    INSERT INTO projection.receipt (number, document_id, version, store, level, body, hash)
    VALUES (%s, %s, %s, %s, %s, %s, %s)"""
READ_HELD = """
    SELECT document_id, version, store FROM projection.receipt
    JOIN unnest(%s::text[], %s::bigint[]) AS named (document_id, version) USING (document_id, version)
    WHERE level = %s"""
READ_RECEIPTS = "SELECT number, body, hash FROM projection.receipt {} ORDER BY number"


@dataclass(frozen=True)
class Issued:
    """How many receipts were written, and what of redacted revisions was found all the same: those get none."""

    receipts: int
    found: list[Found]


@dataclass(frozen=True)
class Receipt:
    """One receipt: `told` is what its body says, `hash` the SHA-256 of the body."""

    number: int
    body: str
    hash: bytes

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told


@dataclass(frozen=True)
class Checked:
    """What checking all receipts gave: how many there are, the first that breaks the chain, what was found of revisions
    that they say are erased, and which stores could not be asked."""

    receipts: int
    broken_at: int | None
    found: list[Found]
    unasked: list[str]

    @property
    def holds(self) -> bool:
        return self.broken_at is None and not self.found and not self.unasked


def issue_hidden(connection: Connection, projections: Mapping[str, Projection], stores: Stores) -> Issued:
    """Write the receipts of every redaction that all generations have passed; to repeat it changes nothing.

    None are written where there are read models in a store that is off: they could not be asked. The connection must be
    outside a transaction. Raises `StoreFailed`.
    """
    receipts, found, last = 0, list[Found](), ("", -1)
    while True:
        with connection.transaction():
            connection.execute(LOCK, [LOCK_KEY])
            due = connection.execute(READ_DUE, [*last, AT_ONCE]).fetchall()
            if not due or _unasked(connection, stores):
                return Issued(receipts, found)
            last = due[-1][:2]
            outside = [store for (store,) in connection.execute(READ_STORES)]
            issued = _issue(connection, projections, stores, due, ["postgresql", *outside], "hidden")
        receipts += issued.receipts
        found += issued.found


def issue(
    connection: Connection,
    projections: Mapping[str, Projection],
    stores: Stores,
    keys: Sequence[Key],
    store: str,
    level: Level,
) -> Issued:
    """Write the receipts of one store for a level beyond hidden that the redactions have reached there now.

    Raises `StoreFailed`.
    """
    receipts, found = 0, list[Found]()
    for start in range(0, len(keys), AT_ONCE):
        with connection.transaction():
            connection.execute(LOCK, [LOCK_KEY])
            rows = connection.execute(READ_NAMED, key_columns(keys[start : start + AT_ONCE])).fetchall()
            issued = _issue(connection, projections, stores, rows, [store], level)
        receipts += issued.receipts
        found += issued.found
    return Issued(receipts, found)


def _issue(
    connection: Connection,
    projections: Mapping[str, Projection],
    stores: Stores,
    redactions: Sequence[tuple[Any, ...]],
    where: Sequence[str],
    level: Level,
) -> Issued:
    found = list(probe(connection, projections, stores, [row[:2] for row in redactions]))
    bad = {(one.document_id, one.version) for one in found}
    good = [row for row in redactions if row[:2] not in bad]
    return Issued(_append(connection, good, where, level), found)


def _unasked(connection: Connection, stores: Stores) -> list[str]:
    """The stores that have read models, and are off."""
    return [] if stores.opensearch else [store for (store,) in connection.execute(READ_STORES)]


def open_for(connection: Connection) -> float | None:
    """For how many seconds the oldest redaction that is not hidden everywhere has been in effect; None without one."""
    row = connection.execute(READ_OPEN_FOR).fetchone()
    return row[0] if row else None


def read_receipts(connection: Connection, document_id: str | None = None) -> Iterator[Receipt]:
    """All receipts, or a document's, in the order in which they were written."""
    where, parameters = ("", []) if document_id is None else ("WHERE document_id = %s", [document_id])
    with connection.transaction(), connection.cursor(name="receipts") as cursor:
        cursor.execute(READ_RECEIPTS.format(where).encode(), parameters)
        for row in cursor:
            yield Receipt(*row)


def check_receipts(connection: Connection, projections: Mapping[str, Projection], stores: Stores) -> Checked:
    """Check the chain of all receipts, and look again, in every store, for what they say is erased.

    Raises `StoreFailed`.
    """
    before, count, broken_at = NOTHING, 0, None
    keys: set[Key] = set()
    for receipt in read_receipts(connection):
        count += 1
        if broken_at is None and not _follows(receipt, count, before):
            broken_at = receipt.number
        before = receipt.hash
        told = receipt.told
        keys.add((told["documentId"], told["version"]))
    found: list[Found] = []
    ordered = sorted(keys)
    for start in range(0, len(ordered), AT_ONCE):
        with connection.transaction():
            found += probe(connection, projections, stores, ordered[start : start + AT_ONCE])
    with connection.transaction():
        unasked = _unasked(connection, stores)
    return Checked(count, broken_at, found, unasked)


def _follows(receipt: Receipt, number: int, before: bytes) -> bool:
    told = receipt.told
    return (
        receipt.number == told["receipt"] == number
        and told["previous"] == before.hex()
        and hashlib.sha256(receipt.body.encode()).digest() == receipt.hash
    )


def _append(connection: Connection, redactions: Sequence[tuple[Any, ...]], stores: Sequence[str], level: Level) -> int:
    """Write a receipt a redaction and store, at the end of the chain, which the caller has locked."""
    if not redactions:
        return 0
    columns = key_columns([row[:2] for row in redactions])
    held = set(connection.execute(READ_HELD, [*columns, level]).fetchall())
    models = {store: connection.execute(READ_MODELS, [store]).fetchall() for store in stores}
    purges = {tuple(purge): rows for *purge, rows in connection.execute(READ_PURGES, columns)}
    last = connection.execute(READ_LAST).fetchone()
    number, before = last or (0, NOTHING)
    rows: list[tuple[Any, ...]] = []
    for redaction in redactions:
        for store in stores:
            if (*redaction[:2], store) in held:
                continue
            number += 1
            told = [
                {"name": name, "generation": id_, "position": at, "rowsReplaced": purges.get((*redaction[:2], id_), 0)}
                for name, id_, at in models[store]
            ]
            body = _body(number, before, redaction, store, level, told)
            before = hashlib.sha256(body.encode()).digest()
            rows.append((number, *redaction[:2], store, level, body, before))
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, rows)
    return len(rows)


def _body(
    number: int,
    before: bytes,
    redaction: tuple[Any, ...],
    store: str,
    level: Level,
    models: Sequence[Mapping[str, Any]],
) -> str:
    document_id, version, table_id, sequence_no, redacted_by, data_hash, found, registered_at, strand_id = redaction
    told = {
        "receipt": number,
        "documentId": document_id,
        "version": version,
        "tableId": table_id,
        "blockAddress": {"strandId": strand_id, "sequenceNo": sequence_no},
        "redactedBy": redacted_by,
        "dataHash": None if data_hash is None else b64encode(data_hash).decode(),
        "found": found or "not held",
        "store": store,
        "level": level,
        "readModels": models,
        "checked": CHECKED[store, level],
        "effectiveAt": registered_at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "issuedAt": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "outOfScope": list(OUT_OF_SCOPE),
        "previous": before.hex(),
    }
    return json.dumps(told, separators=(",", ":"))
