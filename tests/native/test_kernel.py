"""The contract for both kernels, and the choice between them."""

import gzip
import os
import subprocess
import sys
from typing import Any

import pytest

from strandline.journal.decode import kernel, objects, stream
from strandline.journal.decode.objects import Decoded
from strandline.journal.decode.record import DecodedRecord, decode_records_of
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.json import to_json
from tests.journals import ion_binary, ion_text, json_lines, small_journal
from tests.native.contract import ARN, FORMS, KernelContract, Write
from tests.native.odd_journals import STRUCTURES

WHICH = "from strandline.journal.decode.kernel import KERNEL; print(KERNEL)"


class TestPlainPython(KernelContract):
    def decode(self, data: bytes, *, trust_deletions: bool = False, with_rows: bool = True) -> Decoded:
        return objects.decode(data, trust_deletions=trust_deletions, with_rows=with_rows)

    def decode_record(self, data: bytes, *, trust_deletions: bool = False) -> list[DecodedRecord]:
        return list(decode_records_of(data, trust_deletions=trust_deletions))


class TestNative(KernelContract):
    """The native kernel as used: the plain Python decodes input that it hands over."""

    @pytest.fixture(autouse=True)
    def _built(self) -> None:
        pytest.importorskip("strandline_native", reason="not built: make native")

    def decode(self, data: bytes, *, trust_deletions: bool = False, with_rows: bool = True) -> Decoded:
        return kernel.decode(data, trust_deletions=trust_deletions, with_rows=with_rows)

    def decode_record(self, data: bytes, *, trust_deletions: bool = False) -> list[DecodedRecord]:
        return list(kernel.decode_record(data, trust_deletions=trust_deletions))

    def test_stream_records_are_not_handed_over(self) -> None:
        native: Any = pytest.importorskip("strandline_native")

        for data in [record.data for block in small_journal() for record in stream.block_records(ARN, block)]:
            assert kernel.decode_record_natively(native, data, False) == next(
                decode_records_of(data, trust_deletions=False)
            )

    @FORMS
    def test_exports_are_not_handed_over(self, write: Write) -> None:
        native: Any = pytest.importorskip("strandline_native")
        blocks = small_journal()
        blocks[3]["revisions"][0]["data"]["status"] = "Changed"  # nor is it for a fault

        data = write(blocks)
        assert kernel.decode_natively(native, data, False, True) == objects.decode(data)
        assert kernel.decode_natively(native, gzip.compress(data), False, True) == objects.decode(data)

    def test_reason_to_hand_over_has_no_payload(self) -> None:
        native: Any = pytest.importorskip("strandline_native")

        assert native.decode(json_lines(small_journal()), False, True) == "JSON"
        assert native.decode(b"{a:1,a:2}", False, True) == "a struct with a repeated field"
        assert native.decode(b"\xff", False, True) == "not UTF-8"

    def test_nested_values_are_not_handed_over(self) -> None:
        native: Any = pytest.importorskip("strandline_native")

        for structure in STRUCTURES:
            assert not isinstance(native.values(f"[{structure.replace('#', '1')}]".encode()), str)

    def test_hash_and_json_equal_pythons(self) -> None:
        pytest.importorskip("strandline_native")
        documents = [revision["data"] for block in small_journal() for revision in block.get("revisions", ())
                     if "data" in revision]  # fmt: skip

        assert documents
        for document in documents:
            assert kernel.hash_and_json(ion.write(document)) == (ion_hash(document), to_json(document))
        for left in (b"", b"{a:1}{a:2}", b"{a:1,a:2}", b"{a:", b"\xe0\x01\x00\xea\xd5"):
            assert kernel.hash_and_json(left) is None

    def test_statement_texts_equal_pythons(self) -> None:
        pytest.importorskip("strandline_native")
        infos = [block["transactionInfo"] for block in small_journal() if "transactionInfo" in block]
        repeated = b'{statements: [{statement: "SELECT 1"}], statements: []}'

        assert any(info["statements"] for info in infos)
        for info in infos:
            assert kernel.statement_texts(ion.write(info)) == [text["statement"] for text in info["statements"]]
        assert kernel.statement_texts(ion.write({"documents": {}})) == []
        assert kernel.statement_texts(repeated) is None


def kernel_of_a_process(**environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", WHICH], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_python_kernel_is_used_on_request() -> None:
    assert kernel_of_a_process(STRANDLINE_KERNEL="python") == "python"


def test_native_kernel_is_used_if_installed() -> None:
    pytest.importorskip("strandline_native", reason="not built: make native")

    assert kernel_of_a_process(STRANDLINE_KERNEL="") == "native"


def test_build_of_another_seam_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    native: Any = pytest.importorskip("strandline_native", reason="not built: make native")
    monkeypatch.setattr(native, "SEAM", 0)

    assert kernel._native() is None


def test_threads_decode_in_parallel() -> None:
    """Several threads decode the same bytes, as the worker does; each has its own names and buffers."""
    from concurrent.futures import ThreadPoolExecutor

    data = [ion_binary(small_journal()), ion_text(small_journal())] * 20
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(kernel.decode, data)) == [kernel.decode(item) for item in data]
