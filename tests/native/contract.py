"""The contract of a kernel: a class of tests for both the native kernel and the plain Python."""

import gzip
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from amazon.ion import simpleion

from strandline.journal.check.block import OWN_ENTRIES
from strandline.journal.decode import stream
from strandline.journal.decode.objects import MOST_OTHERS, Decoded
from strandline.journal.decode.record import DecodedRecord
from strandline.journal.errors import UnreadableError
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.block import BlockMaker, NewRedaction, NewRevision, Statement, timestamp
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests import ion_bytes
from tests.journals import ADA, BOB, OTHER_TABLE, STRAND, TABLE, Block, ion_binary, ion_text, json_lines, small_journal
from tests.native.odd_journals import SCALARS, odd_journal
from tests.tampering import OMISSIONS
from tests.tampering import TABLE as TAMPERED

VECTORS = Path(__file__).parent.parent / "vectors"
WHOLE_BLOCK = VECTORS / "blocks/aws-cli_get-block_seq100.ion"
FORMS = pytest.mark.parametrize("write", [ion_binary, ion_text])
# Faults between blocks, which decoding does not check.
OF_THE_STRAND = {"missing", "order", "conflict", "previousBlockHash", "strand"}

ARN = "arn:aws:qldb:eu-west-2:123456789012:stream/licences/AYj8gSIUcxiHijsjEKob30"

Write = Callable[[list[Block]], bytes]


def block_with(data: Any) -> Block:
    return BlockMaker(STRAND).make(
        transaction_id="Transaction00000000000",
        tx_time=timestamp(1_000),
        block_time=timestamp(1_007),
        statements=[Statement("INSERT INTO T ?", timestamp(0))],
        revisions=[NewRevision(ADA, TABLE, "T", 0, data)],
    )


class KernelContract(ABC):
    @abstractmethod
    def decode(self, data: bytes, *, trust_deletions: bool = False, with_rows: bool = True) -> Decoded:
        """Decode an object by the kernel under test."""

    @abstractmethod
    def decode_record(self, data: bytes, *, trust_deletions: bool = False) -> list[DecodedRecord]:
        """Decode a user record of a stream by the kernel under test."""

    def test_every_record_of_a_stream_verifies(self) -> None:
        records = [record for block in small_journal() for record in stream.block_records(ARN, block)]
        decoded = [found for record in records for found in self.decode_record(record.data)]

        assert [record.faults for record in decoded] == [[]] * len(records)
        assert Counter(record.kind for record in decoded) == {"BLOCK_SUMMARY": 9, "REVISION_DETAILS": 6}
        assert {record.strand_id for record in decoded} == {STRAND}
        assert all(record.contents.rows is not None for record in decoded)
        assert [link.sequence_no for record in decoded for link in record.contents.links] == list(range(9))
        assert sum(link.revisions for record in decoded for link in record.contents.links) == 6
        assert sum((record.contents.deletions for record in decoded), Counter[str]()) == {"nothing": 1}
        assert [key for record in decoded for key in record.contents.redacted] == [(BOB, 0)]
        assert [key for record in decoded for key in record.contents.named] == [(BOB, 0)]
        to_come = {(one.sequence_no, one.hash, one.table) for record in decoded for one in record.summaries}
        assert to_come == {(r.arrived.sequence_no, r.arrived.hash, r.arrived.table) for r in decoded if r.arrived}

    def test_control_records_are_read(self) -> None:
        for event in ("CREATED", "COMPLETED"):
            (record,) = self.decode_record(stream.control_record(ARN, event).data)
            assert (record.kind, record.faults, record.contents.rows) == (f"CONTROL {event}", [], None)

    def test_tampered_revision_gives_no_rows(self) -> None:
        block = small_journal()[8]
        block["revisions"][0]["data"]["status"] = "Changed"
        found = [r for record in stream.block_records(ARN, block) for r in self.decode_record(record.data)]

        assert [fault.fault for record in found for fault in record.faults] == ["revision-hash"]
        assert [record.kind for record in found if record.contents.rows is None] == ["REVISION_DETAILS"]

    def test_tampered_summary_gives_no_rows(self) -> None:
        block = small_journal()[8]
        block["transactionInfo"]["statements"][0]["statement"] = "DELETE FROM Other"
        (found,) = self.decode_record(next(stream.block_records(ARN, block)).data)

        assert ([fault.fault for fault in found.faults], found.contents.rows) == (["transactionInfo"], None)
        assert found.block_hash == block["blockHash"]

    def test_other_value_is_unreadable_record(self) -> None:
        (found,) = self.decode_record(b"{a:1}")
        assert (found.kind, [fault.fault for fault in found.faults]) == ("unreadable", ["unreadable"])
        with pytest.raises(UnreadableError):
            self.decode_record(b"{")

    @FORMS
    def test_journal_verifies(self, write: Write) -> None:
        decoded = self.decode(write(small_journal()))

        assert decoded.faults == decoded.warnings == []
        assert [link.sequence_no for link in decoded.links] == list(range(9))
        assert sum(link.revisions for link in decoded.links) == 6
        assert sum(link.system_revisions for link in decoded.links) == 2
        assert all(link.full and link.strand_id == STRAND for link in decoded.links)
        assert decoded.rows is not None
        assert (decoded.rows.first_no, decoded.rows.last_no) == (0, 8)
        assert decoded.redacted == decoded.named == [(BOB, 0)]
        assert decoded.redactions == 1
        assert decoded.deletions == {"nothing": 1}

    @FORMS
    def test_rows_are_only_made_when_asked_for(self, write: Write) -> None:
        decoded = self.decode(write(small_journal()), with_rows=False)

        assert decoded.rows is None
        assert len(decoded.links) == 9

    def test_real_block_verifies(self) -> None:
        decoded = self.decode(WHOLE_BLOCK.read_bytes())

        assert decoded.faults == decoded.warnings == []
        assert [(link.sequence_no, link.full, link.revisions) for link in decoded.links] == [(100, True, 1)]

    @pytest.mark.parametrize(("tamper", "expected"), TAMPERED, ids=[tamper.__name__ for tamper, _ in TAMPERED])
    @FORMS
    def test_tampering_is_fault(
        self, write: Write, tamper: Callable[[list[Block]], None], expected: tuple[int, str]
    ) -> None:
        blocks = small_journal()
        tamper(blocks)

        decoded = self.decode(write(blocks))

        if expected[1] not in OF_THE_STRAND:
            assert expected in [(fault.sequence_no, fault.fault) for fault in decoded.faults]
        assert all("Ada" not in fault.detail.replace(ADA, "") for fault in decoded.faults)

    @FORMS
    def test_faulty_block_is_not_packed(self, write: Write) -> None:
        blocks = small_journal()
        blocks[8]["revisions"][0]["data"]["status"] = "Changed"

        decoded = self.decode(write(blocks))

        assert decoded.rows is not None
        assert decoded.rows.last_no == 7
        assert b"Changed" not in decoded.rows.revisions

    @FORMS
    def test_deletions_are_trusted_on_request(self, write: Write) -> None:
        blocks = small_journal()
        del blocks[3]["revisions"][0]["data"]

        assert [fault.fault for fault in self.decode(write(blocks)).faults] == ["deletion-hash"]
        trusted = self.decode(write(blocks), trust_deletions=True)
        assert trusted.faults == []
        assert trusted.deletions == {"nothing": 1, "trusted": 1}

    @pytest.mark.parametrize("scalar", [*SCALARS, "nan", "'a'::b::[{c:d::1}]"])
    def test_every_value_verifies_in_both_forms(self, scalar: str) -> None:
        block = block_with(simpleion.loads(f"{{v:{scalar}, w:[{scalar}]}}"))
        text = self.decode(ion_text([block]))

        assert text.faults == []
        if "d1" not in scalar and "d-1" not in scalar and "d2" not in scalar and "d-2" not in scalar:
            assert self.decode(ion_binary([block])).faults == []

    @FORMS
    def test_repeated_field_is_hashed_with_all_values(self, write: Write) -> None:
        block = block_with(simpleion.loads('{name: "first", name: "second"}'))

        assert self.decode(write([block])).faults == []
        block["revisions"][0]["data"] = {"name": "second"}
        assert [fault.fault for fault in self.decode(write([block])).faults] == ["revision-hash"]

    @pytest.mark.parametrize("fraction", ["123456789", "1234567891", "0123456789", "0" * 10, "12345678901234567890"])
    @pytest.mark.parametrize("binary", [False, True])
    def test_long_fraction_of_second_is_kept(self, fraction: str, binary: bool) -> None:
        time = ion_bytes.timestamp((2022, 1, 1, 0, 0, 0), fraction, 0)
        data = ion_bytes.fields([("at", time)])
        block = BlockMaker(STRAND).make(
            transaction_id="Transaction00000000000",
            tx_time=timestamp(1_000),
            block_time=timestamp(1_007),
            statements=[Statement("INSERT INTO T ?", timestamp(0))],
            revisions=[NewRevision(ADA, TABLE, "T", 0, data, data_hash=data.digest())],
        )
        node = ion_bytes.node(block)

        decoded = self.decode(node.binary() if binary else node.text.encode())

        assert decoded.faults == []
        assert decoded.rows is not None
        assert time.body(ion_bytes.Symbols()) in decoded.rows.revisions
        assert f'"2022-01-01T00:00:00.{fraction}Z"'.encode() in decoded.rows.revisions

    @pytest.mark.parametrize("length", [16_000, 32_000, 128_000])
    @FORMS
    def test_long_name_and_text_are_read(self, write: Write, length: int) -> None:
        assert self.decode(write([block_with({"n" * length: "t" * length})])).faults == []

    @FORMS
    def test_values_that_postgresql_refuses_are_faults(self, write: Write) -> None:
        number = block_with({"a": 1})
        number["blockAddress"]["sequenceNo"] = 2**63 - 1
        unnamed = BlockMaker(STRAND, 5).make(
            transaction_id="Transaction00000000000",
            tx_time=timestamp(1_000),
            block_time=timestamp(1_007),
            statements=[Statement("INSERT INTO T ?", timestamp(0))],
            revisions=[NewRevision(ADA, TABLE, "", 0, {"a": 1})],
        )
        key = BlockMaker(STRAND, 6).make(
            transaction_id="Transaction00000000000",
            tx_time=timestamp(1_000),
            block_time=timestamp(1_007),
            statements=[Statement("EXEC redact_revision ?, ?, ?", timestamp(0))],
            redactions=[NewRedaction(0, TABLE, BOB, 0)],
        )
        key["transactionInfo"]["documents"] = {"a\0b": {"tableName": "T", "tableId": TABLE, "statements": [0]}}

        for block in (number, unnamed, key):
            decoded = self.decode(write([block_with({"a": 1}), block]))

            assert "shape" in {fault.fault for fault in decoded.faults}
            assert decoded.rows is not None
            assert decoded.rows.last_no == 0

    def test_file_of_other_values_is_refused_early(self) -> None:
        for data in (b"5 " * 100_000, b"\xe0\x01\x00\xea" + b"\x21\x05" * 100_000):
            decoded = self.decode(data)

            assert len(decoded.faults) == MOST_OTHERS + 1
            assert "not an export" in decoded.faults[-1].detail

    def test_symbol_tables_are_set_appended_and_reset(self) -> None:
        blocks = small_journal()
        stream = b"".join(ion_binary([block]) for block in blocks)  # a version marker and a table before each
        appended = ion_text(blocks[:2]) + b'\n$ion_symbol_table::{symbols:["hash"]}\n'
        appended += b'$ion_symbol_table::{imports:$ion_symbol_table, symbols:["data"]}\n'
        appended += ion_text(blocks[2:5]).replace(b",hash:", b",$10:").replace(b",data:", b",$11:")
        appended += b"\n$ion_1_0\n" + ion_text(blocks[5:])

        for data in (stream, appended):
            decoded = self.decode(data)
            assert decoded.faults == []
            assert len(decoded.links) == 9

    @FORMS
    def test_erased_statements_are_reported(self, write: Write) -> None:
        blocks = small_journal()
        info = blocks[3].pop("transactionInfo")
        (statement,) = info["statements"]
        left = {"kind": "UPDATE"} | {name: statement[name] for name in ("startTime", "statementDigest")}
        blocks[3]["erasedTransactionInfo"] = {
            "hash": ion_hash(info), "documents": info["documents"], "statements": [left],
        }  # fmt: skip

        decoded = self.decode(write(blocks))

        assert decoded.faults == []
        assert decoded.erased == [(3, ADA, 1)]

    @pytest.mark.parametrize(("strip", "number"), OMISSIONS, ids=[strip.__name__ for strip, _ in OMISSIONS])
    @FORMS
    def test_omission_is_reported(self, write: Write, strip: Callable[[list[Block]], None], number: int) -> None:
        blocks = small_journal()
        strip(blocks)

        decoded = self.decode(write(blocks))

        assert decoded.faults == []
        assert [(one.sequence_no, one.block_hash) for one in decoded.omissions] == [
            (number, blocks[number]["blockHash"])
        ]
        assert decoded.rows is not None
        assert decoded.rows.last_no == 8

    @pytest.mark.parametrize(("strip", "number"), OMISSIONS, ids=[strip.__name__ for strip, _ in OMISSIONS])
    def test_omission_in_stream_is_reported(self, strip: Callable[[list[Block]], None], number: int) -> None:
        blocks = small_journal()
        strip(blocks)

        (found,) = self.decode_record(next(stream.block_records(ARN, blocks[number])).data)

        assert found.faults == []
        assert [one.sequence_no for one in found.contents.omissions] == [number]

    @FORMS
    def test_untouched_journal_has_no_omissions(self, write: Write) -> None:
        decoded = self.decode(write(small_journal()))

        assert decoded.omissions == []
        assert {link.unexplained for link in decoded.links} == {OWN_ENTRIES}

    def test_real_blocks_have_two_entries_of_their_own(self) -> None:
        (link,) = self.decode(WHOLE_BLOCK.read_bytes()).links
        (summary, *_) = [
            record
            for data in stream.deaggregate((VECTORS / "stream/evidence-store_kpl_0.bin").read_bytes())
            for record in self.decode_record(data)
        ]

        assert (link.unexplained, summary.contents.links[0].unexplained) == (OWN_ENTRIES, OWN_ENTRIES)
        assert summary.contents.omissions == []

    @FORMS
    def test_documents_without_revisions_are_fault_in_redacting_block(self, write: Write) -> None:
        """A redaction excuses only the document that it names."""
        maker = BlockMaker(STRAND)
        block = maker.make(
            transaction_id="Transaction00000000000",
            tx_time=timestamp(1_000),
            block_time=timestamp(1_007),
            statements=[Statement("EXEC redact_revision ?, ?, ?", timestamp(0))],
            revisions=[NewRevision(ADA, TABLE, "T", 1, {"a": 1})],
            redactions=[NewRedaction(0, TABLE, BOB, 0)],
        )
        assert self.decode(write([block])).faults == []
        del block["revisions"]

        assert [fault.fault for fault in self.decode(write([block])).faults] == ["documents"]

    def test_erased_info_with_hash_of_another_part_is_fault(self) -> None:
        blocks = small_journal()
        blocks[3].pop("transactionInfo")
        root = blocks[3]["revisions"][0]["hash"]
        documents = {ADA: {"tableName": "T", "tableId": OTHER_TABLE, "statements": []}}
        blocks[3]["erasedTransactionInfo"] = {"hash": root, "documents": documents, "statements": []}

        faults = self.decode(ion_text(blocks)).faults
        assert [(fault.sequence_no, fault.fault) for fault in faults] == [(3, "erasedTransactionInfo")]

    def test_json_has_level_chain(self) -> None:
        decoded = self.decode(json_lines(small_journal()))

        assert decoded.faults == []
        assert [link.full for link in decoded.links] == [False] * 9

    @FORMS
    def test_gzip_is_decompressed(self, write: Write) -> None:
        assert self.decode(gzip.compress(write(small_journal()))) == self.decode(write(small_journal()))

    @pytest.mark.parametrize("end", [-1, -40, -400])
    @FORMS
    def test_truncated_object_keeps_complete_blocks(self, write: Write, end: int) -> None:
        decoded = self.decode(write(small_journal())[:end])

        assert [fault.fault for fault in decoded.faults] == ["unreadable"]
        assert len(decoded.links) == 8

    @pytest.mark.parametrize("data", [b"", b" \n", b"\xe0\x01\x00\xea"])
    def test_empty_object_has_no_faults(self, data: bytes) -> None:
        assert self.decode(data) == Decoded()

    @pytest.mark.parametrize(
        "data",
        [
            b"\xff" * 100, b"\xe0\x01\x00\xea\xde\xff", b"\xe0\x01\x00\xea\xde" + b"\x7f" * 9 + b"\xff",
            b"{", b"{a:", b"[" * 100_000, b"\xe0\x01\x00\xea" + b"\xbe\xff" * 1_000, b'"', b"'''", b"{{", b"/*",
            b"{v:1d99999999999}", b"{v:" + b"9" * 100_000 + b"}", b"{v:2020-01-01T00:00:00." + b"1" * 100_000 + b"Z}",
            b"$ion_symbol_table::{symbols:[null]} {a:$10}", b"{a:$4294967296}",
            b"\xe0\x01\x00\xea" + b"\xb2" * 50_000,
        ],
    )  # fmt: skip
    def test_unreadable_bytes_are_fault(self, data: bytes) -> None:
        decoded = self.decode(data)

        assert decoded.links == []
        assert decoded.faults

    def test_other_values_are_faults(self) -> None:
        decoded = self.decode(b"5 {a:1} " + ion_text(small_journal()))

        assert [fault.fault for fault in decoded.faults] == ["shape", "shape"]
        assert len(decoded.links) == 9

    def test_redacted_form_of_real_revision_verifies(self) -> None:
        """Derived: no public data holds a redacted revision, but its hash would be this one."""
        block: Any = simpleion.loads(WHOLE_BLOCK.read_text())
        revision = block["revisions"][0]
        revision["dataHash"] = ion_hash(revision.pop("data"))

        decoded = self.decode(ion_binary([block]))

        assert decoded.faults == []
        assert [version for _, version in decoded.redacted] == [3]

    @pytest.mark.parametrize("form", [Format.ION_TEXT, Format.ION_BINARY, Format.JSON])
    def test_simulated_journal_verifies(self, form: Format, tmp_path: Path) -> None:
        made = simulate(tmp_path / "journal", 120, seed=2, format=form)
        decoded = [
            self.decode(path.read_bytes()) for path in (tmp_path / "journal/full").rglob(f"{made.strand_id}.*-*")
        ]

        assert sum(len(one.links) for one in decoded) == 120
        assert [fault for one in decoded for fault in one.faults] == []
        assert {(d, v) for one in decoded for d, v in one.redacted} <= {(d, v) for one in decoded for d, v in one.named}

    def test_odd_journals_verify(self) -> None:
        for seed in range(50):
            blocks = odd_journal(Random(seed))
            assert self.decode(ion_text(blocks)).faults == []
