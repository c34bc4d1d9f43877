"""Made blocks, recomputed from QLDB's rules (docs/qldb-formats.md) without the maker."""

from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from strandline.journal.check.merkle import dot, root
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.block import BlockMaker, NewRedaction, NewRevision, Statement, later, redact, timestamp

STRAND = "KmA3ZZca7vAIiJAK9S5Iwl"
TABLE = "BFJKdXgzt9oF4wjMbuxy4G"
DOCUMENT = "JUJgkIcNbhS2goq8RqLuZ4"
TX = "FnQeJBAicTX0Ah32ZnVtSX"
NOW = 1_672_628_400_123
DATA = {"licenceId": "QUILL1", "points": 3, "fee": Decimal("34.00"), "events": [{"eventDate": timestamp(NOW)}]}


def make(maker: BlockMaker, **what: Any) -> dict[str, Any]:
    return maker.make(transaction_id=TX, tx_time=timestamp(NOW), block_time=timestamp(NOW + 9), **what)


def insertion(maker: BlockMaker, data: Any = DATA, version: int = 0) -> dict[str, Any]:
    statement = Statement("INSERT INTO Licence ?", timestamp(NOW - 40), (DATA, "second"))
    return make(maker, statements=[statement], revisions=[NewRevision(DOCUMENT, TABLE, "Licence", version, data, (0,))])


def assert_hashes_hold(block: dict[str, Any]) -> None:
    hashes = []
    for revision in block.get("revisions", []):
        hashes.append(revision["hash"])
        if "metadata" not in revision:
            continue
        if "data" in revision:
            data_hash = ion_hash(revision["data"])
        else:
            data_hash = revision.get("dataHash") or sha256(b"").digest()
        assert revision["hash"] == dot(ion_hash(revision["metadata"]), data_hash)
        assert revision["blockAddress"] == block["blockAddress"]
    entries = block["entriesHashList"]
    assert root(hashes) == entries[1]
    assert (ion_hash(block["transactionInfo"]) if "transactionInfo" in block else b"") == entries[3]
    if "redactionInfo" in block:
        assert ion_hash(block["redactionInfo"]) == entries[4]
    assert len(entries) == 4 + ("redactionInfo" in block)
    assert block["entriesHash"] == root(entries)
    assert block["blockHash"] == dot(block["entriesHash"], block["previousBlockHash"])


def test_block_follows_rules_and_survives_round_trip() -> None:
    block = insertion(BlockMaker(STRAND))
    assert list(block) == [
        "blockAddress",
        "transactionId",
        "blockTimestamp",
        "blockHash",
        "entriesHash",
        "previousBlockHash",
        "entriesHashList",
        "transactionInfo",
        "revisions",
    ]
    for again in (block, ion.read_one(ion.write(block)), ion.read_one(ion.write_text(block).encode())):
        assert_hashes_hold(again)
    revision = block["revisions"][0]
    assert list(revision) == ["blockAddress", "hash", "data", "metadata"]
    assert revision["metadata"] == {"id": DOCUMENT, "version": 0, "txTime": timestamp(NOW), "txId": TX}
    documents = block["transactionInfo"]["documents"]
    assert documents == {DOCUMENT: {"tableName": "Licence", "tableId": TABLE, "statements": [0]}}


def test_statement_digest_covers_parameters_in_order() -> None:
    statement = insertion(BlockMaker(STRAND))["transactionInfo"]["statements"][0]
    expected = dot(dot(ion_hash("INSERT INTO Licence ?"), ion_hash(DATA)), ion_hash("second"))
    assert statement["statementDigest"] == expected


def test_blocks_are_linked_from_any_start() -> None:
    maker = BlockMaker(STRAND)
    first, second = insertion(maker), insertion(maker, version=1)
    assert first["previousBlockHash"] == b""
    assert second["previousBlockHash"] == first["blockHash"]
    assert second["blockAddress"] == {"strandId": STRAND, "sequenceNo": 1}
    again = insertion(BlockMaker(STRAND, 1, first["blockHash"]), version=1)
    assert ion_hash(again) == ion_hash(second)


def test_deletion_has_neither_data_nor_hash() -> None:
    block = insertion(BlockMaker(STRAND), data=None, version=3)
    assert list(block["revisions"][0]) == ["blockAddress", "hash", "metadata"]
    assert_hashes_hold(block)


def test_select_has_no_documents_and_no_revisions() -> None:
    block = make(BlockMaker(STRAND), statements=[Statement("SELECT * FROM Licence", timestamp(NOW))])
    assert "revisions" not in block
    assert "documents" not in block["transactionInfo"]
    assert_hashes_hold(block)


def test_system_block_has_no_transaction_info() -> None:
    block = make(BlockMaker(STRAND), system_revisions=[bytes(32)])
    assert "transactionInfo" not in block
    assert block["revisions"] == [{"hash": bytes(32)}]
    assert_hashes_hold(block)


def test_redaction_names_revision_and_holds_none() -> None:
    block = make(
        BlockMaker(STRAND, 9, bytes(32)),
        statements=[Statement("EXEC redact_revision ?, 'T', 'D'", timestamp(NOW))],
        redactions=[NewRedaction(4, TABLE, DOCUMENT, 1)],
    )
    address = {"strandId": STRAND, "sequenceNo": 4}
    named = {"blockAddress": address, "tableId": TABLE, "documentId": DOCUMENT, "version": 1}
    assert block["redactionInfo"] == {"revisions": [named]}
    assert "revisions" not in block
    assert_hashes_hold(block)


def test_redact_keeps_hashes_and_input() -> None:
    block = insertion(BlockMaker(STRAND))
    redacted = redact(block, DOCUMENT, 0)
    assert list(redacted["revisions"][0]) == ["blockAddress", "hash", "dataHash", "metadata"]
    assert redacted["revisions"][0]["dataHash"] == ion_hash(DATA)
    assert redacted["blockHash"] == block["blockHash"]
    assert_hashes_hold(redacted)
    assert "data" in block["revisions"][0]
    assert redact(redacted, DOCUMENT, 0) == redacted


def test_redact_refuses_missing_revision() -> None:
    block = insertion(BlockMaker(STRAND), data=None)
    with pytest.raises(ValueError, match="holds no version 5"):
        redact(block, DOCUMENT, 5)
    with pytest.raises(ValueError, match="no data"):
        redact(block, DOCUMENT, 0)


def test_two_revisions_of_one_document_share_its_entry() -> None:
    statements = [Statement("INSERT INTO Licence ?", timestamp(NOW)), Statement("UPDATE …", timestamp(NOW))]
    revisions = [NewRevision(DOCUMENT, TABLE, "Licence", n, DATA, (n,)) for n in (0, 1)]
    block = make(BlockMaker(STRAND), statements=statements, revisions=revisions)
    assert block["transactionInfo"]["documents"][DOCUMENT]["statements"] == [0, 1]
    assert_hashes_hold(block)


def test_times_are_in_utc_with_milliseconds() -> None:
    assert ion.write_text(timestamp(NOW)) == "2023-01-02T03:00:00.123Z"
    assert ion.write_text(later(timestamp(NOW), timedelta(days=1))) == "2023-01-03T03:00:00.123Z"
