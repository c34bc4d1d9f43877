"""Checks of rows: many at once, and one by one."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strandline.consumer.database.bisection import attempt_all
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


def one_by_one(many: Sequence[Sequence[Any]]) -> list[PreparedRows | str]:
    def check(rows: Sequence[Any]) -> PreparedRows | str:
        try:
            return CHECK([rows])[0]
        except Unprojectable as exc:
            return str(exc)

    return [check(rows) for rows in many]


def shown(many: Sequence[PreparedRows | str]) -> str:
    return repr([
        rows if isinstance(rows, str) else [[getattr(value, "obj", value) for value in row] for row in rows]
        for rows in many
    ])  # fmt: skip


def values(wrong: bool) -> st.SearchStrategy[dict[str, Any]]:
    odd = st.sampled_from(WRONG)
    of = {name: st.sampled_from([*RIGHT[type_], None]) for name, type_ in NAMES.items() if name != KEY}
    right = st.fixed_dictionaries({KEY: st.booleans()}, optional=of)
    if not wrong:
        return right
    named = st.sampled_from([*NAMES, "none"])
    return st.builds(lambda row, name, value: row | {name: value}, right, named, odd | st.none())


def test_every_type_has_values() -> None:
    assert set(RIGHT) == set(TYPES)


@given(st.lists(st.lists(values(False), max_size=3, unique_by=lambda row: row[KEY]), max_size=8))
def test_valid_rows_are_converted_at_once_as_one_by_one(many: list[list[dict[str, Any]]]) -> None:
    assert shown(CHECK(many)) == shown(one_by_one(many))


@given(st.lists(st.lists(values(False) | values(True), max_size=3), max_size=6))
def test_bisection_finds_exactly_the_sources_that_are_refused_alone(many: list[list[dict[str, Any]]]) -> None:
    found: list[PreparedRows | str] = attempt_all(many, CHECK, lambda _, exc: str(exc), Unprojectable)
    assert shown(found) == shown(one_by_one(many))


@given(
    st.sampled_from(sorted(set(NAMES) - {KEY})),
    st.sampled_from([*WRONG, *(one for some in RIGHT.values() for one in some)]),
)
def test_value_is_accepted_if_its_type_accepts_it(name: str, value: Any) -> None:
    """A column of usual values is checked at once: the result must be that of the type's own check."""
    try:
        TYPES[NAMES[name]](value)
        accepted = not (name == "c0" and len(value) > 2_000)  # it has an index
    except (ValueError, TypeError):
        accepted = False
    (result,) = one_by_one([[{KEY: True, name: value}]])
    assert (not isinstance(result, str)) == accepted


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({KEY: None}, "key column c1 is empty"),
        ({KEY: True, "none": 1}, "a row names a column that the projection does not have"),
        ({KEY: True, "c2": True}, "column c2 does not take the value as integer"),
        ({KEY: True, "c6": MOMENT}, "column c6 does not take the value as date"),
        ({KEY: True, "c0": "y" * 2_500}, "column c0 has an index, which does not take a text that long"),
    ],
)
def test_refusal_names_the_column(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unprojectable) as raised:
        CHECK([[{KEY: False}], [row]])
    assert str(raised.value) == reason
