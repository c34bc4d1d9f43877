"""Keys and look-ups that documents name, in batches with and without faults."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from strandline.consumer.projection.definition import Column, ComposedProjection, KeyLookup, Revision
from strandline.consumer.projector.composition import follow_lookups, name_keys

WHEN = datetime(2020, 1, 2, tzinfo=UTC)
PROJECTION = ComposedProjection(
    "named", "Test.", {"T": ("name", "other")}, "analysts", (Column("data", "jsonb", ""),),
    keys=lambda revision: revision.data["keys"] if revision.data else (),
    compose=lambda key, lookup: [],
)  # fmt: skip
GOOD: list[Any] = [["a"], ["a", "b"], [], [KeyLookup("T", "name", "x"), "c"], ["é" * 500]]
BAD: list[Any] = [
    [1], [None], 1, ["a\0"], ["\ud800"], ["x" * 2_400], [KeyLookup("T", "unknown", "x")], [KeyLookup("U", "name", "x")],
    [("T", "name", "x")], [b"a"], [["a"]],
]  # fmt: skip


def revision(document: str, keys: Any) -> Revision:
    return Revision(document, 0, "T", 1, "tx", WHEN, "normal", {"keys": keys}, b"")


def revisions(*many: Any) -> list[Revision]:
    return [revision(f"d{number}", keys) for number, keys in enumerate(many)]


def test_keys_and_lookups_are_named() -> None:
    named, silent = name_keys(PROJECTION, revisions(*GOOD))
    assert (named, silent) == ({"a", "b", "c", "é" * 500, KeyLookup("T", "name", "x")}, [])


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: repr(bad)[:20])
def test_document_without_valid_key_is_found_among_others(bad: Any) -> None:
    named, silent = name_keys(PROJECTION, revisions(["a"], bad, ["b"]))
    assert named == {"a", "b"}
    assert [one.key for one in silent] == ["d1"]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: repr(bad)[:20])
def test_found_document_without_valid_key_names_nothing(bad: Any) -> None:
    there = {KeyLookup("T", "name", "x"): revisions(["a"], bad, [KeyLookup("T", "other", "y")])}
    there[KeyLookup("T", "other", "y")] = revisions(["b"])
    names = {KeyLookup("T", "name", "x")}
    assert follow_lookups(PROJECTION, names, lambda some: {one: there[one] for one in some}) == {"a", "b"}


def test_subclass_of_text_is_a_key() -> None:
    class Text(str):
        __slots__ = ()

    named, silent = name_keys(PROJECTION, revisions([Text("a")]))
    assert (named, silent) == ({"a"}, [])


def test_undeclared_lookup_parks_the_document() -> None:
    narrow = replace(PROJECTION, lookups={"T": ("name",)})
    named, silent = name_keys(narrow, revisions([KeyLookup("T", "other", "y")], ["a"]))
    assert (named, [one.key for one in silent]) == ({"a"}, ["d0"])
