import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.json import escape, read_json, to_json, unescape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90.25", "90.25"),
        ("1.00", "1.00"),
        ("1d3", "1E+3"),
        ("123456789012345678901234567890.12", "123456789012345678901234567890.12"),
        ("1d-200000", '"1E-200000"'),
        ("1d200000", '"1E+200000"'),
        ("null.int", "null"),
        ("true", "true"),
        ("1e0", "1.0"),
        ("nan", '"nan"'),
        ("-inf", '"-inf"'),
        ("2017T", '"2017"'),
        ("2017-08T", '"2017-08"'),
        ("2017-08-21T", '"2017-08-21"'),
        ("2017-08-21T10:30Z", '"2017-08-21T10:30Z"'),
        ("2017-08-21T10:30:05-08:30", '"2017-08-21T10:30:05-08:30"'),
        ("2017-08-21T10:30:05.120-00:00", '"2017-08-21T10:30:05.120-00:00"'),
        ("2017-08-21T10:30:05.123456789Z", '"2017-08-21T10:30:05.123456789Z"'),
        ("{{aGVsbG8=}}", '"aGVsbG8="'),
        ('{{"clob"}}', '"clob"'),
        ("symbol", '"symbol"'),
        ("(a 1)", '["a",1]'),
        ("annotated::[1, {a: null}]", '[1,{"a":null}]'),
        ('"quote \\" and ünïcode"', '"quote \\" and ünïcode"'),
        ("{'': 1, 'with space': 2}", '{"":1,"with space":2}'),
    ],
)
def test_each_type_is_written_as_json(text: str, expected: str) -> None:
    assert to_json(ion.read_one(text.encode())) == expected


def test_integer_of_any_length_keeps_its_digits() -> None:
    number = 7 * 10**6000

    assert to_json(number) == "7" + "0" * 6000


def test_characters_that_jsonb_refuses_are_escaped() -> None:
    value = {"a\0": ["\0", "\ud800", "\ufdd0"]}

    assert json.loads(to_json(value)) == {"a\ufdd00000": ["\ufdd00000", "\ufdd0d800", "\ufdd0fdd0"]}


@given(st.text(st.characters(codec=None)))
def test_escape_can_be_undone(text: str) -> None:
    assert unescape(escape(text)) == text


def test_json_is_read_without_losing_digits() -> None:
    text = '{"a": 1.10}\n[123456789012345678901234567890]\n'

    assert list(read_json(text)) == [{"a": Decimal("1.10")}, [123456789012345678901234567890]]


@pytest.mark.parametrize("text", ['{"a": 1}\n{"a": ', "{", "[" * 100_000])
def test_truncated_json_is_read_up_to_its_damage(text: str) -> None:
    with pytest.raises(UnreadableError, match=r"not readable as JSON after [01] complete values"):
        list(read_json(text))
