"""Documents over all Ion types, shown as JSON, are found again by their hash."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strandline.journal.ion import values as ion
from strandline.journal.ion.down_conversion import down_convert
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.json import exact
from strandline.journal.restore.nodes import Field, Ranked
from strandline.journal.restore.observe import observe
from strandline.journal.restore.plan import Plan
from strandline.journal.restore.recipes import recipes_for
from strandline.journal.restore.search import Found, NotFound, search
from tests.journal.restore.documents import PLAIN, SCALARS, documents


def by_likelihood(_: Field, value: Any) -> Ranked:
    return recipes_for(value)


def find(value: Any, budget: int = 20_000) -> Found | NotFound:
    return search(exact(down_convert(value)), ion_hash(value).__eq__, by_likelihood, budget)


def read(text: str) -> Any:
    return ion.read_one(text.encode())


@pytest.mark.parametrize("name", SCALARS)
def test_documents_of_one_type_are_found(name: str) -> None:
    @settings(max_examples=25)
    @given(documents((name,), depth=1, width=3))
    def check(document: Any) -> None:
        found = find(document)
        assert isinstance(found, Found)
        assert ion_hash(found.value) == ion_hash(document)

    check()


@settings(max_examples=40)
@given(documents(PLAIN, sexps=False))
def test_nested_documents_of_frequent_types_are_found(document: Any) -> None:
    found = find(document)

    assert isinstance(found, Found)
    assert ion_hash(found.value) == ion_hash(document)


@settings(max_examples=40)
@given(documents(), st.integers(0, 3_000))
def test_nothing_is_found_but_the_document_itself(document: Any, budget: int) -> None:
    """No document of any type to depth 4 runs out of combinations, and what is found has the hash."""
    found = find(document, budget)

    if isinstance(found, Found):
        assert ion_hash(found.value) == ion_hash(document)
    else:
        assert not found.exhausted
    assert found.tried <= max(budget, 1)


@settings(max_examples=40)
@given(documents(width=3))
def test_recipes_read_off_ion_give_the_document_back(document: Any) -> None:
    """A plan of one document's own recipes: the same, unless one field has several types."""
    shown, assignment = observe(document)
    value = Plan(assignment)(shown)
    if len(assignment) == sum(1 for _ in _values(shown)):
        assert ion_hash(value) == ion_hash(document)


def _values(value: Any) -> Any:
    yield value
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _values(member)


@pytest.mark.parametrize(
    "text",
    [
        "{list: [{at: 2020-01-01T00:00:00Z, by: a}, {at: 2021-01-01T00:00:00Z, by: b}]}",
        "{mixed: [a, \"a\", {{YWJj}}, 1, 1e0, 2020T, null.int]}",
        "{sexp: (+ 1 2)}",
        "{empty: [], nothing: {}, text: \"\"}",
        "{blob: {{}}, clob: {{\"\"}}}",
    ],
)  # fmt: skip
def test_lists_of_one_and_of_several_types_are_found(text: str) -> None:
    found = find(read(text))

    assert isinstance(found, Found)
    assert ion_hash(found.value) == ion_hash(read(text))


def test_annotation_is_found_with_a_hint_only() -> None:
    document = read("{price: money::1.50, tags: set::[a::1]}")
    hints = {("price",): "money::decimal", ("tags",): "set::list", ("tags", "[]"): "a::int"}

    def hinted(field: Field, value: Any) -> Ranked:
        hint = hints.get(field[0])
        return [*recipes_for(value), *([(hint, 0.0)] if hint else [])]

    found = search(exact(down_convert(document)), ion_hash(document).__eq__, hinted, 1_000)

    assert isinstance(found, Found)
    assert ion_hash(found.value) == ion_hash(document)
    assert isinstance(find(document), NotFound)


def test_budget_bounds_the_search() -> None:
    document = read(
        "{" + ",".join(f"f{number}: null.{'symbol' if number % 2 else 'clob'}" for number in range(12)) + "}"
    )
    found = find(document, budget=500)

    assert found == NotFound(500, exhausted=False)


@pytest.mark.parametrize("value", ["1.5e0", "sym", "null.timestamp", "{{YWJj}}"])
def test_fields_that_look_alike_are_tried_together(value: str) -> None:
    """Forty fields of an unlikely type: far beyond what combinations of forty could find."""
    document = read("{" + ",".join(f"f{number}: {value}" for number in range(40)) + ", n: 1, t: 2020-01-01}")

    assert isinstance(find(document, budget=2_000), Found)


def test_known_fields_keep_their_types_when_others_are_tried_together() -> None:
    settled = {("a",), ("b",)}
    document = read('{a: "x", b: "y",' + ",".join(f"f{number}: s" for number in range(30)) + "}")

    def rank(field: Field, value: Any) -> Ranked:
        return [("string", 0.0), ("symbol", 9.0)] if field[0] in settled else recipes_for(value)

    known = search(
        exact(down_convert(document)),
        ion_hash(document).__eq__,
        rank,
        2_000,
        lambda field: field[0] in settled,
    )

    assert isinstance(known, Found)


def test_value_of_no_ion_exhausts_the_search() -> None:
    refuse: Callable[[bytes], bool] = lambda _: False  # noqa: E731

    found = search({"a": "x y", "b": True}, refuse, by_likelihood, 1_000)

    assert isinstance(found, NotFound)
    assert found.exhausted
