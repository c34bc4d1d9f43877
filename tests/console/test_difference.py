"""The difference between documents, and the picture of the chain."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strandline.console.difference import difference, leaves

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.decimals(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, [("a", "same", "1", "1")]),
        ({"a": 1}, {"a": 2}, [("a", "changed", "1", "2")]),
        ({}, {"a": "x"}, [("a", "added", None, '"x"')]),
        ({"a": {"b": 1}}, {}, [("a.b", "removed", "1", None)]),
        (
            {"a": [1, 2]},
            {"a": [1, 3, 4]},
            [("a[0]", "same", "1", "1"), ("a[1]", "changed", "2", "3"), ("a[2]", "added", None, "4")],
        ),
        ({"a": Decimal("14.0")}, {"a": Decimal("14.00")}, [("a", "changed", "14.0", "14.00")]),
        ({"a": True}, {"a": 1}, [("a", "changed", "true", "1")]),
        ({"a": [1]}, {"a": 1}, [("a[0]", "removed", "1", None), ("a", "added", None, "1")]),
        ({"a": {}}, {"a": []}, [("a", "removed", "{}", None), ("a", "added", None, "[]")]),
        ({"a": Decimal("0.0000001")}, {"a": None}, [("a", "changed", "0.0000001", "null")]),
    ],
)
def test_difference(before: Any, after: Any, expected: list[tuple[str, str, str | None, str | None]]) -> None:
    assert [(one.path, one.kind, one.before, one.after) for one in difference(before, after)] == expected


@given(JSON)
def test_a_document_does_not_differ_from_itself(document: Any) -> None:
    found = difference(document, document)
    assert {one.kind for one in found} <= {"same"}
    assert [(one.path, one.after) for one in found] == [(one.path, one.after) for one in leaves(document)]


@given(
    st.dictionaries(st.text("ab", max_size=2), JSON, max_size=4),
    st.dictionaries(st.text("ab", max_size=2), JSON, max_size=4),
)
def test_both_documents_are_in_their_difference(before: Any, after: Any) -> None:
    found = difference(before, after)
    shown = sorted((one.path, one.after or "") for one in found if one.kind != "removed")
    erased = sorted((one.path, one.before or one.after or "") for one in found if one.kind != "added")
    for document, side in ((after, shown), (before, erased)):
        # A list or object that is empty on one side shows as the members of the other.
        expected = sorted((one.path, one.after or "") for one in leaves(document) if one.after not in ("{}", "[]"))
        assert [one for one in side if one[1] not in ("{}", "[]")] == expected
