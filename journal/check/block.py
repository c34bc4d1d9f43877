"""Checks one block or one revision of an export or a stream record: every hash that can be recomputed.

Formats and formulas: QLDB's developer guide ("Journal contents", "Verification") and AWS's Java verifier. A formula is
tested on the real bytes in tests/vectors if they cover it. Members that no hash covers are checked against members that
one does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from amazon.ion.core import IonType, Timestamp, TimestampPrecision

from strandline.journal.check import merkle
from strandline.journal.check.members import (
    ShapeError,
    hash_in,
    hashes_in,
    id_in,
    is_id,
    is_null,
    list_in,
    number_in,
    sequence_no_in,
    struct_in,
    table_name_in,
    text_in,
    time_in,
)
from strandline.journal.check.statements import ERASED, statement_kind
from strandline.journal.ion.encoding import encode, encode_transaction_info, metadata_digest
from strandline.journal.ion.hash import ion_hash, sha256

Level = Literal["full", "chain"]
State = Literal["normal", "redacted", "deleted"]

MOST_TIME_TO_BLOCK = timedelta(minutes=1)  # from txTime to blockTimestamp; real blocks have 2 to 21 ms
_NO_TIME = timedelta(0)
_HASH_OF_NOTHING = sha256(b"")
_HASH_OF_NULL = ion_hash(None)
DEFINING_KEYWORDS = frozenset(("CREATE", "DROP", "UNDROP"))
OWN_ENTRIES = 2
"""Members of entriesHashList that are QLDB's own, in every real block seen; they cannot be recomputed."""
_PROCEDURE_KEYWORDS = frozenset(("EXEC", "EXECUTE"))


class Fault(NamedTuple):
    """A failed check: the block, the member at fault, and why (ids and hashes only)."""

    sequence_no: int | None
    fault: str
    detail: str


class Omission(NamedTuple):
    """A block whose contents are not shown to be complete: a hash covers something that the block does not hold.

    Not a fault, since QLDB's own blocks may look like that. The caller decides if such a block is accepted.
    """

    sequence_no: int
    block_hash: bytes
    detail: str


class Redaction(NamedTuple):
    """A revision that a block's redactionInfo names."""

    sequence_no: int
    table_id: str
    document_id: str
    version: int


class Table(NamedTuple):
    table_id: str | None
    name: str | None


NO_TABLE = Table(None, None)


@dataclass(slots=True)
class CheckedRevision:
    """A revision and the contents that its hash covers; `data` is an Ion value, at level chain JSON's."""

    hash: bytes
    document_id: str
    version: int
    state: State
    metadata: Mapping[str, Any]
    tx_id: str
    tx_time: datetime
    data: Any = None
    data_hash: bytes | None = None
    data_ion: bytes | None = field(default=None, compare=False)  # the data as binary Ion, if it is known
    table: Table = field(default=NO_TABLE)
    deletion: str | None = None  # the form of a deletion's hash


@dataclass(slots=True)
class CheckedBlock:
    """A block and its faults; nothing of a block with a fault may be used as verified.

    With `statements_erased` the transaction_info is an erasedTransactionInfo (journal.check.statements), and
    `statements` holds only their kinds. Its documents and kinds are covered by no hash: accept it only if a redaction
    names a revision of this block, and if its tables are those of the documents' other revisions.

    `unexplained` counts the members of entriesHashList that are the hash of no part of the block; QLDB's own are
    OWN_ENTRIES. `omissions` says why the block is not shown to be complete; empty if it is.
    """

    strand_id: str
    sequence_no: int
    block_hash: bytes
    previous_hash: bytes
    level: Level
    transaction_id: str | None = None
    block_time: datetime | None = None
    entries_hashes: list[bytes] = field(default_factory=list)
    transaction_info: Any = None
    statements_erased: bool = False
    redaction_info: Any = None
    redactions: list[Redaction] = field(default_factory=list)
    documents: dict[str, Table] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)
    revision_hashes: list[bytes] = field(default_factory=list)
    revision_documents: list[str | None] = field(default_factory=list)
    revisions: list[CheckedRevision] = field(default_factory=list)
    complete: bool = False
    unexplained: int = 0
    omissions: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)

    def fault(self, member: str, detail: str) -> None:
        self.faults.append(Fault(self.sequence_no, member, detail))


def check_block(value: Any, *, trust_deletions: bool = False) -> CheckedBlock:
    """Check a block of an export, or a stream's BLOCK_SUMMARY payload (whose revisions arrive separately).

    Raises ShapeError if the block's number and hashes cannot be read. With `trust_deletions` a deletion whose hash has
    no known form is accepted (docs/qldb-formats.md, "Hashes").
    """
    if not isinstance(value, Mapping):
        raise ShapeError("not a struct")
    address = struct_in(value, "blockAddress")
    block = CheckedBlock(
        strand_id=id_in(address, "strandId"),
        sequence_no=sequence_no_in(address),
        block_hash=hash_in(value, "blockHash"),
        previous_hash=hash_in(value, "previousBlockHash", empty=True),
        # JSON has no blobs: the type of a hash shows the level, whatever the file's name.
        level="chain" if isinstance(value["blockHash"], str) else "full",
    )
    try:
        _check_members(block, value)
        if "revisions" in value or "revisionSummaries" not in value:
            block.complete = True
            _check_revisions(block, value.get("revisions") or (), trust_deletions)
        else:
            _read_summaries(block, value["revisionSummaries"] or ())
        _check_cross_references(block)
        _account_for_entries(block)
    except ShapeError as error:
        block.fault("shape", str(error))
    except RecursionError:
        block.fault("shape", "nested too deeply")
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        # Ion can hold anything anywhere; the value is payload, so only the kind of failure is reported.
        block.fault("shape", f"a member is not what a block holds ({type(error).__name__})")
    return block


def check_revision(
    value: Mapping[str, Any], *, level: Level, trust_deletions: bool = False
) -> tuple[CheckedRevision, str | None]:
    """Return a revision, and the fault of its hash or None.

    Raises ShapeError if a member is missing or of the wrong type. At level chain the hash cannot be recomputed and is
    not checked.
    """
    metadata = struct_in(value, "metadata")
    revision = CheckedRevision(  # positional arguments are faster
        hash_in(value, "hash"),
        id_in(metadata, "id"),
        number_in(metadata, "version"),
        "normal",
        metadata,
        id_in(metadata, "txId"),
        time_in(metadata, "txTime"),
    )
    data = value.get("data")
    if "data" in value and not is_null(data):
        revision.data = data
        if value.get("dataHash") is not None:
            return revision, "holds both data and dataHash"
        if level == "full":
            revision.data = encode(data)
            revision.data_hash = ion_hash(revision.data)
    elif not is_null(value.get("dataHash")):
        revision.state = "redacted"
        # In JSON the hash of redacted data may be unknown to the writer, and is then empty.
        revision.data_hash = hash_in(value, "dataHash", empty=level == "chain") or None
    else:
        revision.state = "deleted"
    if level == "chain":
        return revision, None
    metadata_hash = metadata_digest(metadata) or ion_hash(metadata)
    if revision.state == "deleted":
        revision.deletion = _deletion_form(metadata_hash, revision.hash)
        if revision.deletion is None and trust_deletions:
            revision.deletion = "trusted"
        return revision, None if revision.deletion else "deletion"
    assert revision.data_hash is not None
    if merkle.dot(metadata_hash, revision.data_hash) == revision.hash:
        return revision, None
    return (
        revision,
        f"its hash is not that of its metadata and {'dataHash' if revision.state == 'redacted' else 'data'}",
    )


def metadata_value(document_id: str, version: int, tx_time: datetime, tx_id: str) -> dict[str, Any]:
    """Return a revision's metadata as QLDB writes it: txTime in milliseconds, UTC."""
    utc = tx_time.astimezone(UTC)
    stamp = Timestamp(
        utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, tzinfo=UTC,
        precision=TimestampPrecision.SECOND, fractional_precision=3,
    )  # fmt: skip
    return {"id": document_id, "version": version, "txTime": stamp, "txId": tx_id}


def is_plain_metadata(metadata: Mapping[str, Any]) -> bool:
    """Return True if `metadata_value` reproduces exactly these members and their hash."""
    time = metadata["txTime"]
    return (
        len(metadata) == 4
        and _is_plain(time, Timestamp, IonType.TIMESTAMP)
        and time.precision == TimestampPrecision.SECOND
        and time.fractional_precision == 3
        and (time.tzinfo is UTC or time.utcoffset() == _NO_TIME)
        and _is_plain(metadata["id"], str, IonType.STRING)
        and _is_plain(metadata["txId"], str, IonType.STRING)
        and _is_plain(metadata["version"], int, IonType.INT)
    )


def _is_plain(value: Any, kind: type, ion_type: IonType) -> bool:
    """Return True if a value is of the type and not annotated, for either class of `journal.ion.values`."""
    if type(value) is kind:
        return True
    return getattr(value, "ion_type", None) == ion_type and not value.ion_annotations


def _deletion_form(metadata_hash: bytes, revision_hash: bytes) -> str | None:
    """Return the form of a deletion's hash: metadata and nothing, metadata alone, or metadata and a null."""
    # AWS's Java verifier computes the first. No real deletion was available, so the two other plausible forms are
    # accepted too (docs/qldb-formats.md, "Hashes").
    if revision_hash == merkle.dot(metadata_hash, _HASH_OF_NOTHING):
        return "nothing"
    if revision_hash == metadata_hash:
        return "metadata"
    if revision_hash == merkle.dot(metadata_hash, _HASH_OF_NULL):
        return "null"
    return None


def _check_members(block: CheckedBlock, value: Mapping[str, Any]) -> None:
    block.transaction_id = id_in(value, "transactionId")
    block.block_time = time_in(value, "blockTimestamp")
    block.entries_hashes = hashes_in(value, "entriesHashList")
    entries_hash = hash_in(value, "entriesHash")
    if merkle.root(block.entries_hashes) != entries_hash:
        block.fault("entriesHash", "is not the Merkle root of entriesHashList")
    if merkle.dot(entries_hash, block.previous_hash) != block.block_hash:
        block.fault("blockHash", "is not the hash of entriesHash and previousBlockHash")
    _read_transaction(block, value)
    _read_redactions(block, value)


def _read_transaction(block: CheckedBlock, value: Mapping[str, Any]) -> None:
    block.statements_erased = not is_null(value.get(ERASED))
    if is_null(value.get("transactionInfo")) and not block.statements_erased:
        return
    block.transaction_info = info = struct_in(value, ERASED if block.statements_erased else "transactionInfo")
    if block.statements_erased:
        if not is_null(value.get("transactionInfo")):
            block.fault("transactionInfo", "is present, though erased")
        _check_erased(block, info)
    elif block.level == "full":
        block.transaction_info = encode_transaction_info(info)
        if ion_hash(block.transaction_info) not in block.entries_hashes:
            block.fault("transactionInfo", "its hash is not in entriesHashList")
    for statement in info.get("statements") or ():
        text = text_in(statement, "kind" if block.statements_erased else "statement")
        block.statements.append(statement_kind(text) if block.statements_erased else text)
    for document_id, document in (info.get("documents") or {}).items():
        if not is_id(document_id):
            raise ShapeError("documents: a document's id is not an id")
        block.documents[document_id] = Table(id_in(document, "tableId"), table_name_in(document))


def _check_erased(block: CheckedBlock, info: Mapping[str, Any]) -> None:
    """Check the hash of an erased transactionInfo, all that is left of it; in JSON it may be missing."""
    if block.level == "chain" and "hash" not in info:
        return
    if hash_in(info, "hash") not in block.entries_hashes:
        block.fault(ERASED, "its hash is not in entriesHashList")


def _read_redactions(block: CheckedBlock, value: Mapping[str, Any]) -> None:
    if is_null(value.get("redactionInfo")):
        return
    block.redaction_info = info = struct_in(value, "redactionInfo")
    # Strings and integers only, so the hash can be recomputed from JSON too.
    if ion_hash(info) not in block.entries_hashes:
        block.fault("redactionInfo", "its hash is not in entriesHashList")
    for revision in list_in(info, "revisions"):
        address = struct_in(revision, "blockAddress")
        if id_in(address, "strandId") != block.strand_id:
            block.fault("redactionInfo", "names a revision of another strand")
        block.redactions.append(
            Redaction(
                sequence_no_in(address),
                id_in(revision, "tableId"),
                id_in(revision, "documentId"),
                number_in(revision, "version"),
            )
        )


def _check_revisions(block: CheckedBlock, revisions: Iterable[Any], trust_deletions: bool) -> None:
    for value in revisions:
        if type(value) is not dict and not isinstance(value, Mapping):
            raise ShapeError("revisions: a member is not a struct")
        if "metadata" not in value:
            block.revision_hashes.append(hash_in(value, "hash"))
            block.revision_documents.append(None)
            if not is_null(value.get("data")) or not is_null(value.get("dataHash")):
                block.fault("revision", "a system revision holds more than a hash")
            continue
        revision, fault = check_revision(value, level=block.level, trust_deletions=trust_deletions)
        revision.table = block.documents.get(revision.document_id, NO_TABLE)
        block.revision_hashes.append(revision.hash)
        block.revision_documents.append(revision.document_id)
        block.revisions.append(revision)
        if fault == "deletion":
            block.fault("deletion-hash", f"{_named(revision)}: has no data, and its hash is not that of a deletion")
        elif fault:
            block.fault("revision-hash", f"{_named(revision)}: {fault}")
        if not _is_at(struct_in(value, "blockAddress"), block):
            block.fault("revision-address", f"{_named(revision)}: its blockAddress is not this block's")
    _check_revisions_root(block)


def _is_at(address: Mapping[str, Any], block: CheckedBlock) -> bool:
    number = address.get("sequenceNo")
    if type(number) is int and number == block.sequence_no and address.get("strandId") == block.strand_id:
        return True  # fast path of the next line
    return id_in(address, "strandId") == block.strand_id and sequence_no_in(address) == block.sequence_no


def _named(revision: CheckedRevision) -> str:
    return f"revision {revision.document_id} version {revision.version}"


def _read_summaries(block: CheckedBlock, summaries: Iterable[Any]) -> None:
    for summary in summaries:
        # Read both before keeping either, so that the two lists stay of one length on an error.
        revision_hash = hash_in(summary, "hash")
        document_id = None if is_null(summary.get("documentId")) else id_in(summary, "documentId")
        block.revision_hashes.append(revision_hash)
        block.revision_documents.append(document_id)
    block.complete = not any(document_id is not None for document_id in block.revision_documents)
    _check_revisions_root(block)


def _check_revisions_root(block: CheckedBlock) -> None:
    if block.revision_hashes and merkle.root(block.revision_hashes) not in block.entries_hashes:
        block.fault("revisions", "the Merkle root of the revisions' hashes is not in entriesHashList")


def _check_cross_references(block: CheckedBlock) -> None:
    """Check members that no hash covers against members that one does (docs/verification.md)."""
    named = {document_id for document_id in block.revision_documents if document_id is not None}
    # A transaction that redacts may or may not name the redacted document: no real one was available.
    redacted = {redaction.document_id for redaction in block.redactions}
    if (named ^ block.documents.keys()) - redacted:
        block.fault(
            "documents",
            f"transactionInfo names {len(block.documents)} documents, the revisions {len(named)}; they differ",
        )
    for revision in block.revisions:
        if revision.tx_id != block.transaction_id:
            block.fault("transactionId", f"revision {revision.document_id}: its txId is not the block's transactionId")
        assert block.block_time is not None
        # Timestamp's own subtraction is slow.
        if not _NO_TIME <= datetime.__sub__(block.block_time, revision.tx_time) < MOST_TIME_TO_BLOCK:
            block.warnings.append(
                Fault(block.sequence_no, "blockTimestamp", "is not within a minute after the revisions' txTime")
            )


def _account_for_entries(block: CheckedBlock) -> None:
    """Count the members of entriesHashList that no part of the block explains, and find omissions.

    A verified transactionInfo names every document of its transaction and every statement. So beside one only a
    redactionInfo can be missing, and its statement shows that. Without one, the count shows what is missing.
    """
    info, erased = block.transaction_info, block.statements_erased
    unexplained = [digest for digest in block.entries_hashes if digest]
    parts = [merkle.root(block.revision_hashes)]
    if block.redaction_info is not None:
        parts.append(ion_hash(block.redaction_info))
    if info is not None and not erased and block.level == "full":
        parts.append(ion_hash(info))
    for digest in parts:
        if digest in unexplained:
            unexplained.remove(digest)
    block.unexplained = len(unexplained)
    if erased and "hash" in info:
        block.unexplained -= 1
        own = hash_in(info, "hash")
        if own in block.entries_hashes and own not in unexplained:
            block.fault(ERASED, "its hash is that of another part of the block")
    elif info is not None and block.level == "chain":
        block.unexplained -= 1  # its own: JSON has lost the types that the hash depends on
    if block.redaction_info is None and not _PROCEDURE_KEYWORDS.isdisjoint(map(statement_kind, block.statements)):
        block.omissions.append("a statement redacts, and there is no redactionInfo")
    # Block 0 comes before every table, so it holds nothing of a user's.
    if block.unexplained > OWN_ENTRIES and (erased or (info is None and block.sequence_no > 0)):
        block.omissions.append(
            f"{block.unexplained} members of entriesHashList are the hash of nothing in the block; "
            f"{OWN_ENTRIES} are QLDB's own"
        )
