"""The seam: bytes of an export object to verified rows, without an exception for any bytes."""

import gzip
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest

from strandline.journal.check.block import is_plain_metadata
from strandline.journal.decode import kernel
from strandline.journal.decode.objects import decode
from strandline.journal.errors import UnreadableError, UnsupportedValueError
from strandline.journal.ion import values as ion
from strandline.journal.make.block import BlockMaker, NewRevision, Statement, timestamp
from tests.journals import ADA, Block, ion_binary, ion_text, json_lines, small_journal


def block_with(text: str) -> Block:
    return BlockMaker("Strand0000000000000000").make(
        transaction_id="Transaction00000000000",
        tx_time=timestamp(1),
        block_time=timestamp(2),
        statements=[Statement("INSERT INTO T ?", timestamp(0))],
        revisions=[NewRevision(ADA, "TableT0000000000000000", "T", 0, ion.read_one(text.encode()))],
    )


@pytest.mark.parametrize("write", [ion_binary, ion_text, json_lines])
def test_gzipped_object_decodes_the_same(write) -> None:  # type: ignore[no-untyped-def]
    data = write(small_journal())

    assert decode(gzip.compress(data, mtime=0)) == decode(data)
    assert decode(gzip.compress(data, mtime=0)[:-9]).faults[0].fault == "unreadable"


def test_rows_are_omitted_on_request() -> None:
    data = ion_binary(small_journal())

    assert decode(data, with_rows=False).rows is None
    assert decode(data, with_rows=False).links == decode(data).links


def test_faulty_block_gives_no_rows_and_its_neighbours_do() -> None:
    blocks = small_journal()
    blocks[3]["revisions"][0]["data"]["status"] = "Forged"

    decoded = decode(ion_binary(blocks))

    assert decoded.rows is not None
    assert b"Forged" not in decoded.rows.revisions
    assert b"licenceId" in decoded.rows.revisions
    assert {fault.sequence_no for fault in decoded.faults} == {3}


def test_unwritable_value_is_fault() -> None:
    """Its instant in UTC lies beyond the year 9999, where amazon.ion's writer stops."""
    text = ion_text([block_with("{at: 2020-01-01T00:00:00.000Z}")]).replace(
        b"at:2020-01-01T00:00:00.000Z", b"at:9999-12-31T23:59:59.999-01:00"
    )

    decoded = decode(text)

    assert decoded.rows is None
    assert decoded.faults


LATE = bytes([0x80, 0x0F, 0x80 | 2020 & 0x7F, 0x81, 0x81])  # 2020-01-01, and then the year 16383
UNSUPPORTED = {
    "binary": (ion_binary, lambda data: data.replace(LATE, LATE.replace(b"\x0f\xe4", b"\x7f\xff"))),
    "text": (ion_text, lambda data: data.replace(b"2020-01-01T00:00:00.000Z", b"1d" + b"9" * 40)),
    "tables": (
        lambda blocks: b"".join(ion.write(block) for block in blocks),
        lambda data: data.replace(LATE, LATE.replace(b"\x0f\xe4", b"\x7f\xff")),
    ),
}


@pytest.mark.parametrize("form", UNSUPPORTED)
def test_unsupported_value_stops_only_its_own_block(form: str) -> None:
    write, spoil = UNSUPPORTED[form]
    blocks = small_journal()
    odd = block_with("{at: 2020-01-01T00:00:00.000Z}")
    journal = write([*blocks[:2], odd, *blocks[2:5], odd, *blocks[5:]])
    spoilt = spoil(journal)
    assert spoilt != journal

    result = decode(spoilt)

    assert [fault.fault for fault in result.faults] == ["unsupported-value"] * 2
    assert [fault.detail.split(":")[0] for fault in result.faults] == [
        "not supported after 2 complete values",
        "not supported after 6 complete values",
    ]
    assert result.links == decode(write(blocks)).links
    assert kernel.decode(spoilt) == result


@pytest.mark.parametrize("many", [99, 100])
def test_rest_is_not_read_behind_a_hundred_unsupported_values(many: int) -> None:
    """Each takes reading the symbol tables once more."""
    odd = b"\x65" + LATE.replace(b"\x0f\xe4", b"\x7f\xff")
    values = ion.read_each(b"\xe0\x01\x00\xea" + odd * many + b"\x11")

    assert {type(value) for value in islice(values, 99)} == {UnsupportedValueError}
    if many == 99:
        assert list(values) == [True]
    else:
        with pytest.raises(UnsupportedValueError, match="not supported after 99 complete values"):
            list(values)


PLAIN_METADATA = b'{id: "a", version: 0, txTime: 2023-01-02T04:09:28.466Z, txId: "t"}'


@pytest.mark.parametrize("read", [ion.read, ion.read_typed])
def test_plain_metadata_is_recognised_in_both_value_models(read: Callable[[bytes], Iterator[Any]]) -> None:
    assert is_plain_metadata(next(read(PLAIN_METADATA)))
    for member in (b'"a"', b'"t"', b"0,", b"2023"):
        assert not is_plain_metadata(next(read(PLAIN_METADATA.replace(member, b"b::" + member))))
    assert not is_plain_metadata(next(read(PLAIN_METADATA.replace(b'"a"', b"a"))))
    assert not is_plain_metadata(next(read(PLAIN_METADATA.replace(b"}", b", other: 1}"))))


@pytest.mark.parametrize("number", ["123456789012345678901234567890123456789012345.5", "'$1000000000'"])
def test_text_is_read_as_utf_8_by_both_readers(number: str) -> None:
    text = f"{{name: \"Zoë \\U0001F600\", 'ü': {number}, blob: {{{{w6k=}}}}, lines: '''a\r\nb'''}}"
    block = block_with(text)
    assert ion.read_one(text.encode())["name"] == "Zoë \U0001f600"

    for data in (ion_text([block]), ion_binary([block])):
        assert decode(data).faults == []


def test_values_before_invalid_utf_8_are_kept() -> None:
    values = ion.read(b'"\xc3\xab" \'$1000000000\' 1d40 "\xff" 2')

    assert next(values) == "ë"
    assert len([next(values), next(values)]) == 2
    with pytest.raises(UnreadableError, match="after 3 complete values"):
        next(values)
