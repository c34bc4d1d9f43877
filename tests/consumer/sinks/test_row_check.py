"""Rows checked at once are what they are one by one."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strandline.consumer.projection.column_types import TYPES
from strandline.consumer.projection.definition import Column, RowProjection, Unprojectable
from strandline.consumer.sinks.contract import PreparedRows
from strandline.consumer.sinks.row_check import RowCheck

MOMENT = dt.datetime(2020, 1, 2, tzinfo=dt.UTC)
RIGHT: dict[str, list[Any]] = {
    "text": ["", "a", "\u00fc", "x" * 600],
    "boolean": [True, False],
    "integer": [0, -(2**31), 2**31 - 1],
    "bigint": [1, -(2**63), 2**63 - 1],
    "numeric": [1, Decimal("1.10")],
    "timestamptz": [MOMENT],
    "date": [dt.date(2020, 1, 2)],
    "jsonb": [{"a": [1, None]}, "text", 2],
    "text[]": [[], ["a"]],
    "bigint[]": [(1, 2)],
}
WRONG: list[Any] = [
    "nul \0", "\ud800", "y" * 2_500, 2**31, -(2**63) - 1, 1.5, Decimal("NaN"), MOMENT.replace(tzinfo=None), b"", [1],
    ["\0"],
]  # fmt: skip
NAMES = {f"c{n}": type_ for n, type_ in enumerate(RIGHT)}
KEY = "c1"  # of the boolean
PROJECTION = RowProjection(
    "typed",
    "Test.",
    ("T",),
    "current",
    "analysts",
    tuple(Column(name, type_, "") for name, type_ in NAMES.items()),
    lambda _: [],
    key=(KEY,),
    indexes=(("c0",),),
)
CHECK = RowCheck(PROJECTION)


def one_by_one(many: Sequence[Sequence[Any]]) -> list[PreparedRows] | None:
    try:
        return [CHECK(rows) for rows in many]
    except Unprojectable:
        return None


def shown(many: list[PreparedRows] | None) -> str:
    return repr([[[getattr(value, "obj", value) for value in row] for row in rows] for rows in many or []])


def values(wrong: bool) -> st.SearchStrategy[dict[str, Any]]:
    odd = st.sampled_from(WRONG)
    of = {name: st.sampled_from([*RIGHT[type_], None]) for name, type_ in NAMES.items() if name != KEY}
    right = st.fixed_dictionaries({KEY: st.booleans()}, optional=of)
    if not wrong:
        return right
    named = st.sampled_from([*NAMES, "none"])
    return st.builds(lambda row, name, value: row | {name: value}, right, named, odd | st.none())


def test_every_type_is_tried() -> None:
    assert set(RIGHT) == set(TYPES)


@given(st.lists(st.lists(values(False), max_size=3, unique_by=lambda row: row[KEY]), max_size=8))
def test_what_is_right_is_taken_at_once(many: list[list[dict[str, Any]]]) -> None:
    found = CHECK.all(many)
    assert found is not None
    assert shown(found) == shown(one_by_one(many))


@given(st.lists(st.lists(values(False) | values(True), max_size=3), max_size=6))
def test_nothing_wrong_is_taken(many: list[list[dict[str, Any]]]) -> None:
    found = CHECK.all(many)
    assert found is None or shown(found) == shown(one_by_one(many))


@pytest.mark.parametrize(
    "row", [{KEY: None}, {KEY: True, "none": 1}, {KEY: True, "c2": True}, {KEY: True, "c6": MOMENT}]
)
def test_what_may_be_wrong_is_left_to_be_found_out(row: dict[str, Any]) -> None:
    assert CHECK.all([[{KEY: False}], [row]]) is None
