"""Ion as the JSON of QLDB's exports; the rules are in docs/qldb-formats.md."""

import json
from decimal import Decimal

import pytest

from strandline.journal.ion import values as ion
from strandline.journal.ion.down_conversion import down_convert

ONE_NULL = "null null.null null.string null.int null.struct null.timestamp a::null.list"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{data: annot::{foo: null.string, bar: (2 '+' 2)}, time: 1969-07-20T20:18Z}",  # the cookbook's example
         '{"data":{"foo":null,"bar":[2,"+",2]},"time":"1969-07-20T20:18Z"}'),
        ("90.25", "9025e-2"),
        ("100.00", "10000e-2"),
        ("5.", "5e0"),
        ("-0.0", "-0e-1"),
        ("12d6", "12e6"),
        ("-12.5", "-125e-1"),
        ("1e0", "1e0"),
        ("1.5e0", "1.5e0"),
        ("-0e0", "-0e0"),
        ("0.001e0", "0.001e0"),
        ("1e-4", "1.0e-4"),
        ("1.25e10", "1.25e10"),
        ("12345678e0", "1.2345678e7"),
        ("nan", "null"),
        ("+inf", "null"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("true", "true"),
        ("2007T", '"2007T"'),
        ("2007-02T", '"2007-02T"'),
        ("2007-02-23", '"2007-02-23"'),
        ("2007-02-23T12:14Z", '"2007-02-23T12:14Z"'),
        ("2007-02-23T12:14:33.079-08:00", '"2007-02-23T12:14:33.079-08:00"'),
        ("2007-02-23T20:14:33-00:00", '"2007-02-23T20:14:33-00:00"'),
        ("a::b::'a symbol'", '"a symbol"'),
        ("{{aGVsbG8=}}", '"aGVsbG8="'),
    ],
)  # fmt: skip
def test_value_is_spelled_as_in_the_rules(text: str, expected: str) -> None:
    assert down_convert(ion.read_one(text.encode())) == expected


@pytest.mark.parametrize("text", ONE_NULL.split())
def test_nulls_of_all_types_are_null(text: str) -> None:
    assert down_convert(ion.read_one(text.encode())) == "null"


def test_clob_is_the_code_points_of_its_bytes() -> None:
    assert json.loads(down_convert(ion.read_one(b'{{"a\\xe9\\"\\x7f"}}'))) == 'a\u00e9"\u007f'


def test_decimals_keep_their_exponents() -> None:
    for text in ("1.0", "1.00", "0.00", "1d3", "-0.5", "0.00000000000000000001"):
        value = ion.read_one(text.encode())
        read = json.loads(down_convert(value), parse_float=Decimal)
        assert read.as_tuple() == value.as_tuple()


def test_what_is_not_an_ion_value_is_refused() -> None:
    with pytest.raises(TypeError):
        down_convert({"a": object()})
