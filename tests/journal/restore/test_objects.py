"""Objects of a JSON export: Ion runs of the blocks that were found, JSON runs of the others."""

import gzip
from typing import Any

import pytest

from strandline.journal.check.members import ShapeError
from strandline.journal.decode.objects import decode
from strandline.journal.errors import UnreadableError, UnwritableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.export import encode
from strandline.journal.make.format import Format
from strandline.journal.make.scrub import scrub
from strandline.journal.restore import objects
from strandline.journal.restore.block import Restorer
from strandline.journal.restore.objects import restore_object
from strandline.journal.simulation.licensing import LicenceLedger
from strandline.journal.simulation.strand import SimulatedStrand
from tests.journal.restore.exported import journal_of


def read(text: str) -> Any:
    return ion.read_one(text.encode())


BLOCKS = journal_of(
    [read("{a: 1, at: 2020-01-01}"), read("{a: x::1}"), read("{a: x::2}"), read("{a: 2, at: 2020-01-02}")]
)


def test_object_is_split_where_blocks_hold_out() -> None:
    data = encode(BLOCKS, Format.JSON)

    done = restore_object(data, Restorer(budget=100))

    assert [(run.first_no, run.last_no, run.json) for run in done.runs] == [(0, 0, False), (1, 2, True), (3, 3, False)]
    assert done.runs[1].data == b"".join(data.splitlines(keepends=True)[1:3])  # as it was, byte for byte
    assert [ion_hash(one) for one in ion.read(done.runs[0].data)] == [ion_hash(BLOCKS[0])]
    assert (done.blocks, done.restored, dict(done.lifted)) == (4, 2, {"Licence": 2})
    assert [one.sequence_no for one in done.held_out] == [1, 2]
    assert all(decode(run.data).faults == [] for run in done.runs)


def test_gzip_and_other_line_ends_are_read() -> None:
    data = encode(BLOCKS[:1], Format.JSON).replace(b"\n", b"\r\n  ")

    assert restore_object(gzip.compress(data), Restorer()).restored == 1


def test_ion_object_stays_and_teaches() -> None:
    restorer = Restorer()
    data = gzip.compress(encode(BLOCKS[1:2], Format.ION_TEXT))

    done = restore_object(data, restorer)

    assert done.runs == [(1, 1, False, data)]
    assert (done.restored, len(done.learned)) == (0, 1)
    assert restore_object(encode(BLOCKS[2:3], Format.JSON), restorer).restored == 1


def test_learned_types_can_be_passed_on() -> None:
    first = restore_object(encode(BLOCKS[:1], Format.JSON), Restorer())
    other = Restorer()
    for learned in first.learned:
        other.learn(learned)

    assert restore_object(encode(BLOCKS[3:], Format.JSON), other).tried == 0


@pytest.mark.parametrize("data", [b'{"a":1}', b'{"a":1', b'{"blockAddress":{"sequenceNo":1}} 5'])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises((ShapeError, UnreadableError)):
        restore_object(data, Restorer())


def test_block_that_cannot_be_written_as_ion_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value can have a hash and yet be beyond what the writer of Ion can write."""
    write = objects.encode

    def encode_or_fail(blocks: list[Any], format: Format) -> bytes:
        if any(block["revisions"][0]["data"].get("a") == 7 for block in blocks):
            raise UnwritableError("holds a value that cannot be written")
        return write(blocks, format)

    data = encode(journal_of([read("{a: 1}"), read("{a: 7}"), read("{a: 2}")]), Format.JSON)
    monkeypatch.setattr(objects, "encode", encode_or_fail)

    done = restore_object(data, Restorer())

    assert [(run.first_no, run.last_no, run.json) for run in done.runs] == [(0, 0, False), (1, 1, True), (2, 2, False)]
    assert (dict(done.lifted), dict(done.kept_back)) == ({"Licence": 2}, {"Licence": 1})
    assert [one.reason for one in done.held_out] == ["cannot be written as Ion"]
    assert done.restored == 2


@pytest.mark.parametrize(
    "value",
    ["1e999999999", "-0e-999999999", "1e400", "9" * 5_000, "0.1e-400", "12345678901234567890.5", '"\\ud800"',
     '"9999-12-31T23:59:59-12:00"', '"0000T"', '{"\\udfff":1}', '"2020-02-30"', '{"a":1,"a":2}'],
)  # fmt: skip
def test_extreme_values_hold_out_and_neither_hang_nor_raise(value: str) -> None:
    data = encode(BLOCKS[:1], Format.JSON).replace(b'"a":1', b'"a":' + value.encode())

    done = restore_object(data, Restorer(budget=200))

    assert [run.json for run in done.runs] == [True]


def test_scrubbed_export_is_restored_with_what_is_left() -> None:
    """Data and statement texts that a redaction erased stay erased; their hashes are enough for level full."""
    blocks = list(SimulatedStrand(LicenceLedger, 3, 200, 0.2).make())
    redacted: dict[tuple[str, int], bytes | None] = {
        (one["documentId"], one["version"]): None
        for block in blocks
        if "redactionInfo" in block
        for one in block["redactionInfo"]["revisions"]
    }
    scrubbed = scrub(encode(blocks, Format.JSON), redacted)
    assert b"erasedTransactionInfo" in scrubbed

    done = restore_object(scrubbed, Restorer())

    assert [(run.first_no, run.last_no, run.json) for run in done.runs] == [(0, 199, False)]
    assert decode(done.runs[0].data).faults == []
    assert len(decode(done.runs[0].data).redacted) == len(redacted)
