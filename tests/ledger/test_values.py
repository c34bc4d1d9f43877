"""Documents as given equal documents as read back."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.ledger.values import as_document

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(st.characters(codec="utf-8"))
NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
    ),
    max_size=4,
)


@settings(max_examples=60)
@given(DOCUMENTS)
def test_document_equals_its_stored_form(document: dict[str, Any]) -> None:
    taken, data = as_document(document)
    read = ion.read_one(data)
    assert repr(taken) == repr(read)  # types, too; NaN is not equal to itself
    assert ion_hash(taken) == ion_hash(read)


def test_later_changes_by_the_caller_have_no_effect() -> None:
    events: list[dict[str, Any]] = [{"name": "issued"}]
    taken, _ = as_document({"events": events})
    events[0]["name"] = "lost"
    events.append({})
    assert taken == {"events": [{"name": "issued"}]}
