"""Every Ion value is read and written as it is, against a writer that is not amazon.ion's (tests/ion_bytes.py)."""

import importlib
from decimal import localcontext
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strandline.journal.errors import UnreadableError, UnsupportedValueError
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.text import read_text
from tests import ion_bytes
from tests.ion_bytes import Node

try:
    native: Any = importlib.import_module("strandline_native")
except ImportError:
    native = None

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(["a", "name", "symbols"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
DIGITS = st.text("0123456789", max_size=45)


@st.composite
def timestamps(draw: st.DrawFn) -> Node:
    offset = draw(st.none() | st.integers(-59, 59) | st.just(0))
    date = (draw(st.integers(1, 9999)), draw(st.integers(1, 12)), draw(st.integers(1, 28)), 12)
    minute, second = draw(st.integers(0, 59)), draw(st.integers(0, 59))
    precision = draw(st.sampled_from([1, 2, 3, 5, 6, 6, 6]))
    members = (*date, minute, second)[:precision]
    return ion_bytes.timestamp(members, draw(DIGITS) if precision == 6 else "", offset if precision > 3 else None)


SCALARS = st.one_of(
    st.sampled_from([code for code, name in enumerate(ion_bytes.NULLS) if name]).map(ion_bytes.null),
    st.booleans().map(ion_bytes.boolean),
    (st.integers() | st.integers(-(2**600), 2**600)).map(ion_bytes.integer),
    st.floats(allow_nan=False).map(ion_bytes.real),
    st.builds(
        ion_bytes.decimal,
        st.booleans(),
        st.integers(0, 10**6) | st.integers(0, 10**60),
        st.integers(-8_000, 8_000) | st.integers(-200_000, 200_000),
    ),
    timestamps(),
    NAMES.map(ion_bytes.symbol),
    TEXTS.map(ion_bytes.string),
    st.binary(max_size=12).map(ion_bytes.clob),
    st.binary(max_size=12).map(ion_bytes.blob),
)


def _containers(members: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.one_of(
        st.builds(ion_bytes.sequence, st.lists(members, max_size=4), st.booleans()),
        st.lists(st.tuples(NAMES, members), max_size=5).map(ion_bytes.fields),
        st.builds(ion_bytes.annotated, st.lists(NAMES, min_size=1, max_size=2), SCALARS),
    )


NODES = st.recursive(SCALARS, _containers, max_leaves=12).map(lambda node: ion_bytes.sequence([node]))
DAY = (2022, 1, 1, 1, 0, 0)


def check(data: bytes, node: Node) -> None:
    """Check what is read, by either model and kernel, and what is written again."""
    (typed,) = ion.read_typed(data)
    assert ion_hash(typed) == node.digest()
    (value,) = ion.read(data)
    if ion_hash(value) != node.digest():  # a repeated field
        value = typed
    for written in (ion.write(value), ion.write_text(value).encode()):
        (again,) = ion.read_typed(written)
        assert ion_hash(again) == node.digest()
    found = native.values(data) if native is not None else "not built"
    if not isinstance(found, str):
        ((digest, _, written),) = found
        assert digest == node.digest()
        (again,) = ion.read_typed(written)
        assert ion_hash(again) == node.digest()


@given(NODES)
@example(ion_bytes.sequence([ion_bytes.timestamp(DAY, "0000000000", 0)]))
@example(ion_bytes.sequence([ion_bytes.timestamp(DAY, "12345678901234567890" * 3, -59)]))
@example(ion_bytes.sequence([ion_bytes.timestamp((127, 1, 1, 0, 0, 0), "0" * 64, 0)]))
@example(ion_bytes.sequence([ion_bytes.decimal(False, 10, 6_250)]))
@example(ion_bytes.sequence([ion_bytes.decimal(True, 123, -6_200)]))
@example(ion_bytes.sequence([ion_bytes.decimal(False, 3552713678800500929355621337890625 * 10**12, 0)]))
@example(ion_bytes.sequence([ion_bytes.fields([("", ion_bytes.decimal(False, 0, 6_112)), ("", ion_bytes.null(1))])]))
def test_binary_value_is_kept(node: Node) -> None:
    check(node.binary(), node)


@given(NODES)
@example(ion_bytes.sequence([ion_bytes.timestamp(DAY, "0000000000", 0)]))
@example(ion_bytes.sequence([ion_bytes.decimal(False, 3552713678800500929355621337890625 * 10**12, 0)]))
def test_text_value_is_kept(node: Node) -> None:
    check(node.text.encode(), node)


@given(NODES)
def test_own_text_reader_agrees(node: Node) -> None:
    with localcontext(prec=1_000):
        (value,) = read_text(node.text)

    assert ion_hash(value) == node.digest()


@pytest.mark.parametrize("size", [16_000, 17_000, 40_000, 128_000])
def test_long_tokens_of_text_are_read(size: int) -> None:
    long = "x" * size
    node = ion_bytes.fields([(long, ion_bytes.string(long)), ("b", ion_bytes.blob(long.encode())),
                             ("s", ion_bytes.symbol(long)), ("c", ion_bytes.clob(long.encode()))])  # fmt: skip

    check(node.text.encode(), node)


@pytest.mark.parametrize(
    "text",
    [
        "{", "[1", "(1", '"', "'a", "'''a", "{{", "{{a}}", "/*", "[1 2]", "{a}", "{a:1 b:2}", "{1a:1}", "{null:1}",
        "01", "1_", "--1", "1.2.3", "1e", "1d", "0x", "2017-02-30T", "2017-13T", "2017-01-01T24:00Z", "2017",
        "2017-01-01T10Z", "2017-01-01T10:30", "0000T", "null.foo", "true::1", '"\\q"', '"\\ud800"', "$ion_1_1", "5::a",
        "a::", "{,}", "+1", ".5", "1/**/", "$10", "{{\"ü\"}}", "[,]", "2017-01-01T10:30:05.Z", "1a",
    ],
)  # fmt: skip
def test_own_text_reader_refuses_invalid_text(text: str) -> None:
    if text == "2017":
        assert list(read_text(text)) == [2017]
        return
    with pytest.raises((ValueError, KeyError, UnreadableError)):
        list(read_text(text))


def test_own_text_reader_reads_symbol_tables() -> None:
    text = """$ion_symbol_table::{symbols:["a"]} $10 $ion_symbol_table::{imports:$ion_symbol_table,symbols:["b"]}
        [$10,$11,$4] 'c'::$0 $ion_1_0 $ion_symbol_table::{symbols:["d"]} {$10:1}"""
    first, second, third, fourth = read_text(text)

    assert (first.text, [symbol.text for symbol in second], third.text) == ("a", ["a", "b", "name"], None)
    assert fourth == {"d": 1}


def test_own_text_reader_keeps_repeated_fields() -> None:
    (value,) = read_text("{a:1,a:2}")

    assert value.get_all_values("a") == [1, 2]


@pytest.mark.parametrize("minutes", [-1, 1])
def test_year_out_of_range_is_unsupported(minutes: int) -> None:
    """Its framing is sound, so it is no tampering."""
    date = (9999, 12, 31, 23, 59, 0) if minutes > 0 else (1, 1, 1, 0, 0, 0)
    body = bytes([0x80 | (0x40 if minutes < 0 else 0) | 1]) + bytes([date[0] >> 7, 0x80 | date[0] & 0x7F])
    body += bytes(0x80 | member for member in date[1:])

    with pytest.raises(UnsupportedValueError, match="not supported"):
        list(ion.read(b"\xe0\x01\x00\xea" + bytes([0x60 | len(body)]) + body))
