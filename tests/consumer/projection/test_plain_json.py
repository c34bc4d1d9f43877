"""The fast path writes the same JSON text as `to_json`, or leaves a value to it."""

import enum
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strandline.consumer.projection.plain_json import plain_json
from strandline.journal.ion.json import to_json


class Named(enum.StrEnum):
    ONE = "one"


DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers() | st.text() | DECIMALS
VALUES = st.recursive(SCALARS, lambda some: st.lists(some) | st.dictionaries(st.text(), some), max_leaves=20)
ODD: list[Any] = [
    "nul \0", "\ufdd0", "\ud800", 1.0, 1e16, Decimal("NaN"), Decimal("-Infinity"), Decimal("1E-20000"),
    Decimal("0E-20000"), Decimal("1E+200000"), (1,), b"", Named.ONE, {1: "a"}, {None: "a"},
    {Named.ONE: 1}, 1 << 20_000,
]  # fmt: skip


@given(st.lists(VALUES, max_size=4))
def test_text_equals_that_of_to_json(values: list[Any]) -> None:
    texts = plain_json(values)
    odd = any("\0" in one or "\ufdd0" in one for one in map(repr_of, values))
    assert texts == (None if odd else [to_json(value) for value in values])


def repr_of(value: Any) -> str:
    """All text that is in the value."""
    if isinstance(value, dict):
        return "".join(map(repr_of, [*value, *value.values()]))
    return "".join(map(repr_of, value)) if isinstance(value, list) else value if isinstance(value, str) else ""


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("within", [lambda odd: odd, lambda odd: [{"a": [odd]}], lambda odd: ["a", {}, [], odd]])
def test_other_values_are_left_to_to_json(odd: Any, within: Any) -> None:
    assert plain_json(["a", within(odd)]) is None


@pytest.mark.parametrize("text", ["1.10", "-0", "0E-7", "1E+20", "1.5E-9", "9" * 60 + ".5"])
def test_decimals_keep_their_digits(text: str) -> None:
    assert plain_json([{"a": [Decimal(text)]}]) == [to_json({"a": [Decimal(text)]})]


def test_deep_nesting_is_left_to_to_json() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert plain_json([deep]) is None
