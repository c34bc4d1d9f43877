"""Rows and parked documents of a batch; the function and the sink may each refuse a revision."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from strandline.consumer.projection.definition import Column, Revision, RowProjection, Unprojectable
from strandline.consumer.projector.row_batch import RowBatch
from strandline.consumer.sinks.row_check import RowCheck

REFUSED, ODD = "refused by the function", 7


def rows(revision: Revision) -> Iterator[Mapping[str, object]]:
    label = revision.field("label")
    if label == REFUSED:
        raise Unprojectable("it says so")
    yield {"label": label}


HISTORY = RowProjection("past", "Test.", ("T",), "history", "analysts", (Column("label", "text", ""),), rows)
CURRENT = replace(HISTORY, name="now", keeps="current")


def taken(projection: RowProjection, *labels: Any, waiting: tuple[str, ...] = ()) -> tuple[list[Any], list[Any]]:
    """The rows and parked documents of revisions, each of document d but for those of a text with a colon."""
    sink: Any = SimpleNamespace(prepare_all=RowCheck(projection))
    batch = RowBatch(projection, sink)
    versions: dict[str, int] = {}
    revisions = []
    for label in labels:
        document = label.partition(":")[0] if isinstance(label, str) and ":" in label else "d"
        versions[document] = versions.get(document, -1) + 1
        state: Any = "deleted" if label is None else "normal"
        data = None if label is None else {"label": label}
        when = datetime(2020, 1, 1, tzinfo=UTC)
        revisions.append(Revision(document, versions[document], "T", len(revisions), "tx", when, state, data, b""))
    batch.take(revisions, waiting)
    made = [(one.document, one.version, [row[0] for row in one.rows]) for one in batch.replacements]
    return made, [(one.key, one.version, one.reason) for one in batch.parked]


COLUMN = "column label does not take the value as text"


@pytest.mark.parametrize(
    ("labels", "made", "parked"),
    [
        (("a", "b"), [("d", 0, ["a"]), ("d", 1, ["b"])], []),
        (("a", REFUSED, "b"), [("d", 0, ["a"])], [("d", 1, "it says so")]),
        (("a", ODD, "b"), [("d", 0, ["a"])], [("d", 1, COLUMN)]),
        ((ODD, REFUSED), [], [("d", 0, COLUMN)]),
        ((REFUSED, ODD), [], [("d", 0, "it says so")]),
        ((ODD, "e:b"), [("e", 0, ["e:b"])], [("d", 0, COLUMN)]),
    ],
)
def test_history_keeps_rows_before_the_first_refused_revision(labels: Any, made: Any, parked: Any) -> None:
    assert taken(HISTORY, *labels) == (made, parked)


def test_current_keeps_the_last_revision_and_no_deleted_one() -> None:
    assert taken(CURRENT, "a", "b") == ([("d", 1, ["b"])], [])
    assert taken(CURRENT, "a", None) == ([("d", 1, [])], [])
    assert taken(CURRENT, "a", ODD, "c") == ([("d", 0, ["a"])], [("d", 1, COLUMN)])


def test_parked_documents_are_skipped() -> None:
    assert taken(HISTORY, REFUSED, "e:b", waiting=("d",)) == ([("e", 0, ["e:b"])], [])


def test_refused_revisions_are_found_among_many() -> None:
    labels: list[Any] = [f"d{number}:x" for number in range(450)]
    labels[7] = labels[201] = REFUSED
    labels[203] = ODD  # after d parked: skipped
    made, parked = taken(HISTORY, *labels)
    assert len(made) == 447
    assert parked == [("d", 0, "it says so")]
