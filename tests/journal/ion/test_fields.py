"""The shape of a document: its fields and their types, without values."""

import json
from typing import Any

import pytest

from strandline.journal.ion import fields
from strandline.journal.ion import values as ion
from strandline.journal.ion.json import read_json


def shape(text: str) -> list[list[str]]:
    value = ion.read_one(text.encode())
    number, found = fields.shape_of(value)
    assert number == fields.shape_of(next(ion.read_typed(text.encode())))[0]  # whichever way it was read
    listed: list[list[str]] = json.loads(found)
    return listed


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{}", []),
        ("{a: 1, b: 1.0, c: 1e0, d: true}", [["bool", "d"], ["decimal", "b"], ["float", "c"], ["int", "a"]]),
        ('{a: "x", b: x, c: {{aGk=}}, d: {{"c"}}}', [["blob", "c"], ["clob", "d"], ["string", "a"], ["symbol", "b"]]),
        ("{a: 2020T, b: null, c: null.int}", [["null", "b"], ["null", "c"], ["timestamp", "a"]]),
        ("{a: {b: {c: 1}}}", [["int", "a", "b", "c"], ["struct", "a", "b"], ["struct", "a"]]),
        ("{a: [1, {b: 2}, 3]}", [["int", "a", "[]", "b"], ["int", "a", "[]"], ["list", "a"], ["struct", "a", "[]"]]),
        ("{a: (b 1)}", [["int", "a", "[]"], ["sexp", "a"], ["symbol", "a", "[]"]]),
        ("{a: x::1, b: y::{c: z::[2]}}", [["int", "a"], ["int", "b", "c", "[]"], ["list", "b", "c"], ["struct", "b"]]),
        ("{a: {}, b: [], '': 1}", [["int", ""], ["list", "b"], ["struct", "a"]]),
        ("[1]", [["int", "[]"], ["list"]]),
        ('"text"', [["string"]]),
    ],
)
def test_shape_of_ion_has_its_types(document: str, expected: list[list[str]]) -> None:
    assert shape(document) == expected


def test_repeated_field_has_both_types() -> None:
    value: Any = next(ion.read_typed(b'{a: 1, a: "x"}'))
    assert json.loads(fields.shape_of(value)[1]) == [["int", "a"], ["string", "a"]]


def test_shape_of_json_has_json_types() -> None:
    value = next(read_json('{"a": 1, "b": 1.5, "c": "2020-01-01", "d": [null], "e": true}'))
    assert json.loads(fields.shape_of(value)[1]) == [
        ["bool", "e"], ["decimal", "b"], ["int", "a"], ["list", "d"], ["null", "d", "[]"], ["string", "c"],
    ]  # fmt: skip


def test_shape_ignores_values_and_order() -> None:
    one, other = (ion.read_one(text) for text in (b'{a: 1, b: ["x", "y"]}', b'{b: ["z"], a: 10}'))
    assert fields.shape_of(one) == fields.shape_of(other)
    assert fields.shape_of(one) != fields.shape_of({"a": 1, "b": [1]})


def test_shape_is_bounded() -> None:
    wide = {f"k{number}": {"x": 1} for number in range(fields.MOST_FIELDS)}
    assert len(json.loads(fields.shape_of(wide)[1])) == 2 * fields.MOST_FIELDS
    assert json.loads(fields.shape_of({**wide, "more": 1})[1]) == [["struct"]]
    map_like = {"a": {f"k{number}": 1 for number in range(fields.MOST_NESTED_FIELDS + 1)}}
    assert json.loads(fields.shape_of(map_like)[1]) == [["struct", "a"]]
    deep: dict[str, Any] = {"e": 1}
    for name in "dcba":
        deep = {name: deep}
    assert ["struct", *"abcd"] in json.loads(fields.shape_of(deep)[1])
    assert not [entry for entry in json.loads(fields.shape_of(deep)[1]) if "e" in entry]
    long = {"a": [1] * fields.MOST_MEMBERS + ["x"]}
    assert json.loads(fields.shape_of(long)[1]) == [["int", "a", "[]"], ["list", "a"]]


def test_names_that_jsonb_refuses_are_escaped() -> None:
    assert json.loads(fields.shape_of({"a\0": 1, "\ufdd0": 1})[1]) == [["int", "a\ufdd00000"], ["int", "\ufdd0fdd0"]]
