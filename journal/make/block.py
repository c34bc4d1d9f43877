"""Makes valid blocks, as a journal export holds them, from transactions. Nothing else makes blocks.

Pure and deterministic: ids and times are parameters. The formulas are QLDB's (checked on its bytes in tests/vectors).
Choices that QLDB's public data leaves open are made only here:

- entriesHashList is [own, root of the revisions' hashes, own, hash of transactionInfo], the order in every real block
  seen, then the hash of redactionInfo. A member with nothing to hash is empty, and `dot` skips it.
- The two members that are QLDB's own, and cannot be recomputed, are the SHA-256 of strand, number and a label.
- A deletion's hash uses the SHA-256 of nothing for its data, as AWS's verifier does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from amazon.ion.core import TimestampPrecision

from strandline.journal.check.merkle import dot, root
from strandline.journal.ion.encoding import encode_transaction_info, metadata_digest
from strandline.journal.ion.hash import ion_hash, sha256
from strandline.journal.ion.values import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DELETED_DATA_HASH = sha256(b"")


@dataclass(frozen=True, slots=True)
class Statement:
    """A PartiQL statement of a transaction; `parameters` are the Ion values for its question marks."""

    text: str
    start_time: Timestamp
    parameters: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class NewRevision:
    """A document's next version; `data` is an Ion struct, or None if the revision deletes the document.

    `statements` are the indexes of the statements that touched it. `data_hash` and `data_ion` are the data's Ion Hash
    and bytes, if the caller knows them.
    """

    document_id: str
    table_id: str
    table_name: str
    version: int
    data: Any | None
    statements: tuple[int, ...] = (0,)
    data_hash: bytes | None = None
    data_ion: bytes | None = None


@dataclass(frozen=True, slots=True)
class NewRedaction:
    """The revision that a redaction names, in block `sequence_no` of the same strand."""

    sequence_no: int
    table_id: str
    document_id: str
    version: int


class BlockMaker:
    """Makes the blocks of one strand, each linked to the one before; it can continue a strand at any block."""

    def __init__(self, strand_id: str, next_sequence_no: int = 0, previous_hash: bytes = b"") -> None:
        self.strand_id = strand_id
        self.next_sequence_no = next_sequence_no
        self.previous_hash = previous_hash

    def make(
        self,
        *,
        transaction_id: str,
        tx_time: Timestamp,
        block_time: Timestamp,
        statements: Sequence[Statement] = (),
        revisions: Sequence[NewRevision] = (),
        redactions: Sequence[NewRedaction] = (),
        system_revisions: Sequence[bytes] = (),
    ) -> dict[str, Any]:
        """Make the next block of the strand, as an Ion struct.

        Without statements it is a system block, which has no transactionInfo. `system_revisions` are the hashes of
        revisions of which QLDB shows only the hash; they precede the others.
        """
        address = {"strandId": self.strand_id, "sequenceNo": self.next_sequence_no}
        # A statement's parameter is often the whole document: hashing it once saves a third of the work.
        data_hashes = {id(new.data): new.data_hash or ion_hash(new.data) for new in revisions if new.data is not None}
        values = [{"hash": digest} for digest in system_revisions] + [
            _revision(address, new, data_hashes.get(id(new.data), _DELETED_DATA_HASH), tx_time, transaction_id)
            for new in revisions
        ]
        info = _transaction_info(statements, revisions, data_hashes) if statements else None
        redaction_info = _redaction_info(self.strand_id, redactions) if redactions else None
        entries = [
            self._own_member("journal"),
            root([revision["hash"] for revision in values]),
            self._own_member("system"),
            ion_hash(encode_transaction_info(info)) if info else b"",
        ]
        if redaction_info:
            entries.append(ion_hash(redaction_info))
        entries_hash = root(entries)
        block_hash = dot(entries_hash, self.previous_hash)
        block: dict[str, Any] = {
            "blockAddress": address,
            "transactionId": transaction_id,
            "blockTimestamp": block_time,
            "blockHash": block_hash,
            "entriesHash": entries_hash,
            "previousBlockHash": self.previous_hash,
            "entriesHashList": entries,
        }
        if info:
            block["transactionInfo"] = info
        if redaction_info:
            block["redactionInfo"] = redaction_info
        if values:
            block["revisions"] = values
        self.next_sequence_no += 1
        self.previous_hash = block_hash
        return block

    def _own_member(self, label: str) -> bytes:
        return sha256(f"{self.strand_id} {self.next_sequence_no} {label}".encode())


def timestamp(milliseconds: int) -> Timestamp:
    """Return milliseconds since 1970 as an Ion timestamp in UTC with three digits, the form of all of QLDB's times."""
    return _timestamp(_EPOCH + timedelta(milliseconds=milliseconds))


def at(moment: datetime) -> Timestamp:
    """Return a time with an offset as an Ion timestamp in UTC, truncated to milliseconds."""
    utc = moment.astimezone(UTC)
    return _timestamp(utc.replace(microsecond=utc.microsecond // 1000 * 1000))


def later(time: Timestamp, by: timedelta) -> Timestamp:
    """Add `by` to a time in UTC with milliseconds; plain addition would lose Ion's precision."""
    return _timestamp(_EPOCH + (time - _EPOCH) + by)


def _timestamp(time: datetime) -> Timestamp:
    return Timestamp(
        time.year,
        time.month,
        time.day,
        time.hour,
        time.minute,
        time.second,
        microsecond=time.microsecond,
        tzinfo=UTC,
        precision=TimestampPrecision.SECOND,
        fractional_precision=3,
    )


def redact(block: dict[str, Any], document_id: str, version: int) -> dict[str, Any]:
    """Return the block as exported after that revision's redaction: dataHash instead of data, all hashes unchanged.

    A no-op if the revision is already redacted. Raises ValueError if the block does not hold it, or it has no data.
    """
    return {
        **block,
        "revisions": [
            _redacted(revision) if _is(revision, document_id, version) else revision
            for revision in _holding(block, document_id, version)
        ],
    }


def _holding(block: dict[str, Any], document_id: str, version: int) -> list[dict[str, Any]]:
    revisions: list[dict[str, Any]] = block.get("revisions", [])
    if not any(_is(revision, document_id, version) for revision in revisions):
        number = block["blockAddress"]["sequenceNo"]
        raise ValueError(f"block {number} holds no version {version} of document {document_id}")
    return revisions


def _is(revision: dict[str, Any], document_id: str, version: int) -> bool:
    metadata = revision.get("metadata")
    return metadata is not None and metadata["id"] == document_id and metadata["version"] == version


def _redacted(revision: dict[str, Any]) -> dict[str, Any]:
    if "dataHash" in revision:
        return revision
    if "data" not in revision:
        raise ValueError("a deletion holds no data to redact")
    return {
        "blockAddress": revision["blockAddress"],
        "hash": revision["hash"],
        "dataHash": ion_hash(revision["data"]),
        "metadata": revision["metadata"],
    }


def _revision(
    address: dict[str, Any], new: NewRevision, data_hash: bytes, tx_time: Timestamp, transaction_id: str
) -> dict[str, Any]:
    metadata = {"id": new.document_id, "version": new.version, "txTime": tx_time, "txId": transaction_id}
    digest = metadata_digest(metadata) or ion_hash(metadata)
    revision: dict[str, Any] = {"blockAddress": address, "hash": dot(digest, data_hash)}
    if new.data is not None:
        revision["data"] = new.data
    revision["metadata"] = metadata
    return revision


def _transaction_info(
    statements: Sequence[Statement], revisions: Sequence[NewRevision], data_hashes: dict[int, bytes]
) -> dict[str, Any]:
    info: dict[str, Any] = {
        "statements": [
            {
                "statement": statement.text,
                "startTime": statement.start_time,
                "statementDigest": _statement_digest(statement, data_hashes),
            }
            for statement in statements
        ]
    }
    documents: dict[str, Any] = {}
    for revision in revisions:
        document = documents.setdefault(
            revision.document_id,
            {"tableName": revision.table_name, "tableId": revision.table_id, "statements": []},
        )
        document["statements"].extend(revision.statements)
    if documents:
        info["documents"] = documents
    return info


def _redaction_info(strand_id: str, redactions: Sequence[NewRedaction]) -> dict[str, Any]:
    return {
        "revisions": [
            {
                "blockAddress": {"strandId": strand_id, "sequenceNo": redaction.sequence_no},
                "tableId": redaction.table_id,
                "documentId": redaction.document_id,
                "version": redaction.version,
            }
            for redaction in redactions
        ]
    }


def _statement_digest(statement: Statement, data_hashes: dict[int, bytes]) -> bytes:
    digest = ion_hash(statement.text)
    for parameter in statement.parameters:
        digest = dot(digest, data_hashes.get(id(parameter)) or ion_hash(parameter))
    return digest
