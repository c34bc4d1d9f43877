"""Reads blocks back from the journal store in the shape of an export, so that the same checks apply to both."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from psycopg.rows import dict_row

from strandline.consumer.database.connection import Connection
from strandline.consumer.store.column_checks import check_columns
from strandline.journal.check import merkle
from strandline.journal.check.block import CheckedBlock, check_block, metadata_value
from strandline.journal.check.members import ShapeError
from strandline.journal.check.statements import ERASED
from strandline.journal.decode import kernel
from strandline.journal.decode.copy_format import BLOCK_COLUMNS, REVISION_COLUMNS
from strandline.journal.decode.kernel import hash_and_json
from strandline.journal.decode.objects import Decoded, count_block
from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.encoded import Encoded
from strandline.journal.ion.json import exact, is_refused, read_json

_BLOCKS = """
    SELECT * FROM journal.block
    WHERE sequence_no BETWEEN %s AND least(%s, (SELECT sequence_no FROM journal.mark))
    ORDER BY sequence_no
"""
_REVISIONS = """
    SELECT * FROM journal.revision WHERE sequence_no BETWEEN %s AND %s ORDER BY sequence_no
"""

# Numbers are constants in these, so that no partition is planned for but those in between.
_COPY = """
    COPY (SELECT {} FROM journal.{} WHERE sequence_no BETWEEN {} AND {} ORDER BY sequence_no)
    TO STDOUT (FORMAT binary)"""

Row = dict[str, Any]
Reader = Callable[[bytes], Any]


def check_stored(
    connection: Connection, first_no: int, last_no: int, *, trust_deletions: bool = False
) -> Iterator[CheckedBlock]:
    """Check the stored blocks from first_no to last_no, none above the mark; bounded memory for bounded ranges."""
    strand_id, rows = read_rows(connection, first_no, last_no)
    for block, revisions in rows:
        yield _check(strand_id, block, revisions, trust_deletions)


def count_stored(connection: Connection, first_no: int, last_no: int, *, trust_deletions: bool = False) -> Decoded:
    """Check the stored blocks as `check_stored` does, by the native kernel if there is one, and count them.

    The caller's transaction is one snapshot, and the mark is not below `last_no`.
    """
    result, left = _count_natively(connection, first_no, last_no, trust_deletions)
    for first, last in left:
        for block in check_stored(connection, first, last, trust_deletions=trust_deletions):
            count_block(block, result)
            result.faults.extend(block.faults)
    return result


def _count_natively(
    connection: Connection, first_no: int, last_no: int, trust_deletions: bool
) -> tuple[Decoded, list[tuple[int, int]]]:
    """Return the blocks that the native kernel accepts, and the ranges of the others."""
    everything = [(first_no, last_no)]
    if kernel.KERNEL != "native":
        return Decoded(), everything
    blocks = _copy(connection, "block", BLOCK_COLUMNS, first_no, last_no)
    revisions = _copy(connection, "revision", REVISION_COLUMNS, first_no, last_no)
    (strand_id,) = connection.execute("SELECT strand_id FROM journal.mark").fetchone() or ("",)
    found = kernel.check_stored(strand_id or "", blocks, revisions, trust_deletions=trust_deletions)
    if found is None:
        return Decoded(), everything
    accepted, left = found
    runs: list[tuple[int, int]] = []
    for number in left:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return accepted, runs


def _copy(connection: Connection, table: str, columns: Sequence[tuple[str, str]], first_no: int, last_no: int) -> bytes:
    names = ", ".join(name for name, _ in columns)
    with connection.cursor() as cursor, cursor.copy(_COPY.format(names, table, first_no, last_no).encode()) as copy:
        return b"".join(copy)


def read_rows(connection: Connection, first_no: int, last_no: int) -> tuple[str, list[tuple[Row, dict[bytes, Row]]]]:
    """Return the strand's id and the blocks from first_no to last_no, none above the mark.

    Each block comes with its revisions' rows by hash. The caller's transaction decides whether all is one snapshot.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        mark = cursor.execute("SELECT strand_id FROM journal.mark").fetchone()
        blocks = cursor.execute(_BLOCKS, (first_no, last_no)).fetchall()
        revisions: dict[int, dict[bytes, Row]] = {block["sequence_no"]: {} for block in blocks}
        if blocks:
            for row in cursor.execute(_REVISIONS, (blocks[0]["sequence_no"], blocks[-1]["sequence_no"])):
                revisions.setdefault(row["sequence_no"], {})[row["hash"]] = row
    strand_id = (mark or {}).get("strand_id") or ""
    return strand_id, [(block, revisions[block["sequence_no"]]) for block in blocks]


def _check(strand_id: str, block: Row, held: dict[bytes, Row], trust_deletions: bool) -> CheckedBlock:
    checked = CheckedBlock(strand_id, block["sequence_no"], block["block_hash"], block["previous_hash"], block["level"])
    try:
        checked = check_block(block_value(strand_id, block, held, hashed=_hashed), trust_deletions=trust_deletions)
        if checked.faults and checked.level == "full":
            # A struct may repeat a field, which plain dicts lose (journal.ion).
            again = block_value(strand_id, block, held, read_typed)
            checked = check_block(again, trust_deletions=trust_deletions)
        checked.faults.extend(check_columns(checked, block, held))
    except UnreadableError as error:
        checked.fault("unreadable", str(error))
    except ShapeError as error:
        checked.fault("shape", str(error))
    return checked


def block_value(
    strand_id: str,
    block: Row,
    revisions: dict[bytes, Row],
    read: Reader = ion.read_one,
    hashed: Reader | None = None,
) -> dict[str, Any]:
    """A block as an export holds it: Ion values at level full, JSON's at level chain.

    Where no more than the hash is asked of them, `hashed` reads documents and what the block says of itself.
    """
    hashed = hashed or read
    full = block["level"] == "full"
    as_hash: Callable[[bytes], Any] = bytes if full else lambda data: b64encode(data).decode()
    info: Reader = hashed if full else _read_json
    address = {"strandId": strand_id, "sequenceNo": block["sequence_no"]}
    value: dict[str, Any] = {
        "blockAddress": address,
        "transactionId": block["transaction_id"],
        "blockTimestamp": block["block_time"],
        "blockHash": as_hash(block["block_hash"]),
        "entriesHash": as_hash(merkle.root(block["entries_hashes"])),
        "previousBlockHash": as_hash(block["previous_hash"]),
        "entriesHashList": [as_hash(member) for member in block["entries_hashes"]],
    }
    for name, column in (("transactionInfo", "transaction_info"), ("redactionInfo", "redaction_info")):
        if block[column] is not None:
            fields = info(block[column])
            value.update(fields if ERASED in fields else {name: fields})
    value["revisions"] = [
        {"hash": as_hash(revision_hash)}
        if document_id is None or revision_hash not in revisions
        else {"blockAddress": address, **_revision_value(revisions[revision_hash], full, read, hashed)}
        for revision_hash, document_id in zip(block["revision_hashes"], block["revision_documents"], strict=True)
    ]
    return value


def _revision_value(row: Row, full: bool, read: Reader, hashed: Reader) -> dict[str, Any]:
    as_hash: Callable[[bytes], Any] = bytes if full else lambda data: b64encode(data).decode()
    value: dict[str, Any] = {"hash": as_hash(row["hash"])}
    if row["state"] == "normal":
        value["data"] = hashed(row["data_ion"]) if full and row["data_ion"] is not None else row["data"]
    elif row["state"] == "redacted":
        value["dataHash"] = as_hash(row["data_hash"] or b"")
    value["metadata"] = (
        read(row["metadata"])
        if row["metadata"] is not None
        else metadata_value(row["document_id"], row["version"], row["tx_time"], row["tx_id"])
    )
    return value


def _hashed(data: bytes) -> Any:
    """A document, or what a block says of itself, with its hash, in JSON's types, since no other is looked at.

    As an Ion value where the native kernel does not take it, and where a member is a hash.
    """
    if (found := hash_and_json(data)) is not None:
        digest, json = found
        members = exact(json)
        if type(members) is dict and ERASED not in members and not is_refused(json):
            return Encoded(members, digest, data)
    return ion.read_one(data)


def read_typed(data: bytes) -> Any:
    """Read an Ion value without losing a field that a struct repeats."""
    return next(iter(ion.read_typed(data)))


def read_info(data: bytes, level: str) -> Any:
    """Read a stored transactionInfo or redactionInfo: Ion at level full, JSON at level chain."""
    return ion.read_one(data) if level == "full" else _read_json(data)


def _read_json(data: bytes) -> Any:
    return next(iter(read_json(data.decode())))
