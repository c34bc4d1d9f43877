"""A person's revisions are found by declared fields, for cleared logins."""

import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure import subjects
from strandline.consumer.erasure.subjects import find_subject, identifier_fields, index_subjects
from strandline.journal.errors import UsageError
from tests.consumer.erasure.canaries import WITHHELD, canaries
from tests.consumer.erasure.conftest import PROJECTIONS, Replayed

FIELDS = identifier_fields(PROJECTIONS.values(), ("firstName", "Licence.county", "Contact.email"))


def test_every_version_of_a_document_that_has_or_had_the_value_is_found(store: Replayed) -> None:
    made = canaries(documents=2)
    store.replay(made.blocks[: made.first_redaction])
    with connect(store.url) as connection:
        found = find_subject(connection, FIELDS, "firstName", made.strings[0])
    assert [(one.version, one.state, one.matches) for one in found] == [
        (0, "normal", True), (1, "normal", False), (2, "normal", False),
    ]  # fmt: skip
    assert {one.table for one in found} == {"Licence"}
    assert "licence_history" in found[0].read_models
    assert "licence_register" not in found[0].read_models
    assert "licence_register" in found[2].read_models


def test_redacted_version_is_no_longer_found(store: Replayed) -> None:
    made = canaries(documents=2)
    store.replay(made.blocks)
    with connect(store.url) as connection:
        assert find_subject(connection, FIELDS, "firstName", made.strings[0]) == []
        kept = find_subject(connection, FIELDS, "firstName", WITHHELD)
    assert [one.state for one in kept] == ["redacted", "redacted", "normal"]


def test_field_of_one_table_is_searched_in_that_table(store: Replayed) -> None:
    made = canaries(documents=1)
    store.replay(made.blocks)
    with connect(store.url) as connection:
        assert find_subject(connection, FIELDS, "Contact.email", WITHHELD) == []


def test_field_that_is_not_declared_is_refused(store: Replayed) -> None:
    with connect(store.url) as connection, pytest.raises(UsageError, match="not a declared field") as error:
        find_subject(connection, FIELDS, "street", "Somebody's")
    assert "Somebody" not in str(error.value)
    with pytest.raises(UsageError, match="is not a field"):
        identifier_fields((), ("a.b.c",))


@pytest.mark.parametrize("name", ["Licence.licenceId", "Licence.county", "firstName"])
def test_no_declared_field_needs_the_whole_journal(store: Replayed, name: str) -> None:
    """Fields of a projection are indexed with its generation, those of the setting on request."""
    made = canaries(documents=2)
    store.replay(made.blocks[: made.first_redaction])
    declared = () if name == "Licence.licenceId" else (name,)
    with connect(store.url) as connection:
        index_subjects(connection, declared)
        table, _, field = name.rpartition(".")
        read = "SELECT document_id FROM journal.revision WHERE data ->> %s = %s"
        (value,) = connection.execute(
            "SELECT data ->> %s FROM journal.revision WHERE data ->> %s IS NOT NULL LIMIT 1", [field, field]
        ).fetchone() or ("",)
        expected = {id_ for (id_,) in connection.execute(read, [field, value])}
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(subjects, "FIND_BY_READING", "SELECT 1/0")
            found = find_subject(connection, FIELDS | {name: (table or None, field)}, name, value)
    assert {one.document_id for one in found} == expected != set()
