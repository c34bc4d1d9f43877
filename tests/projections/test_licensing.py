"""Rows of one revision in the read models of licences; real data has fields missing or of another type."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from strandline.consumer.projection.definition import KeyLookup, Revision, State, Unprojectable
from strandline.projections.licensing import (
    contact_directory,
    endorsements,
    licence_history,
    licence_points,
    licence_register,
)

WRITTEN = datetime(2020, 1, 1, tzinfo=UTC)


def revision(table: str, data: dict[str, Any] | None, state: State = "normal") -> Revision:
    return Revision("doc", 3, table, 9, "tx9", WRITTEN, state, data, b"")


def test_register_has_no_names_and_no_addresses() -> None:
    data = {"licenceId": "L-1", "firstName": "Ada", "street": "1 Mill Lane", "status": "ACTIVE", "county": "Kent"}
    assert list(licence_register.rows(revision("Licence", data))) == [
        {"licence_id": "L-1", "status": "ACTIVE", "county": "Kent", "revised_at": WRITTEN}
    ]


def test_register_leaves_fields_of_other_types_empty() -> None:
    (row,) = licence_register.rows(revision("Licence", {"licenceId": "L-1", "status": 7}))
    assert (row["status"], row["county"]) == (None, None)


@pytest.mark.parametrize("module", [licence_register, contact_directory])
@pytest.mark.parametrize("data", [{}, {"licenceId": 7}, {"licenceId": None}, [], "text"], ids=repr)
def test_document_without_licence_number_parks(module: Any, data: Any) -> None:
    with pytest.raises(Unprojectable, match=r"^licenceId is missing or not text$"):
        list(module.rows(revision("Licence", data)))


@pytest.mark.parametrize("data", [{}, {"licenceId": 7, "events": "odd"}, [], "text", 7], ids=repr)
def test_history_takes_any_document(data: Any) -> None:
    (row,) = licence_history.rows(revision("Licence", data))
    assert (row["state"], row["licence_id"], row["transaction_id"]) == ("normal", None, "tx9")


@pytest.mark.parametrize("state", ["redacted", "deleted"])
def test_history_has_a_row_for_a_revision_without_data(state: State) -> None:
    (row,) = licence_history.rows(revision("Licence", None, state))
    assert {name: value for name, value in row.items() if value is not None} == {
        "revised_at": WRITTEN,
        "transaction_id": "tx9",
        "state": state,
    }


def test_directory_has_the_contact_of_the_holder() -> None:
    data = {"licenceId": "L-1", "email": "ada@example.org", "mobile": 7}
    assert list(contact_directory.rows(revision("Contact", data))) == [
        {"licence_id": "L-1", "email": "ada@example.org", "mobile": None, "user_id": None}
    ]


def points_of(*documents: tuple[str, dict[str, Any]]) -> list[Any]:
    made = [revision(table, data)._replace(document_id=f"d{n}") for n, (table, data) in enumerate(documents)]

    def lookup(table: str, field: str, value: object) -> list[Revision]:
        return [one for one in made if one.table == table and one.text(field) == value and value is not None]

    return list(licence_points.compose("L-1", lookup))


LICENCE = ("Licence", {"licenceId": "L-1"})
MAPPING = ("Mapping", {"licenceId": "L-1", "endorsementId": "E-1"})


def test_endorsement_is_found_through_its_mapping() -> None:
    dates = {"issueDtm": "2020-01-01T00:00:00.000Z", "expiryDtm": "2024-01-01"}
    (row,) = points_of(LICENCE, MAPPING, MAPPING, ("Endorsement", {"endorsementId": "E-1", "points": 6, **dates}))
    assert row == {
        "licence_id": "L-1",
        "endorsement_document": "d3",
        "endorsement_id": "E-1",
        "points": 6,
        "issued_at": datetime(2020, 1, 1, tzinfo=UTC),
        "expires_at": datetime(2024, 1, 1, tzinfo=UTC),
    }


@pytest.mark.parametrize("odd", [None, "6", True, -1, Decimal("1.5"), 10**40, [3], "0001-01-01T00:00:00+23:59"])
def test_fields_of_other_types_are_empty(odd: Any) -> None:
    endorsement = {"endorsementId": "E-1", "points": odd, "issueDtm": odd, "expiryDtm": odd}
    (row,) = points_of(LICENCE, MAPPING, ("Endorsement", endorsement))
    assert (row["points"], row["issued_at"], row["expires_at"]) == (None, None, None)


def test_points_need_a_licence_and_a_mapping() -> None:
    endorsement = ("Endorsement", {"endorsementId": "E-1", "licenceId": "L-1", "points": 3})
    assert points_of(MAPPING, endorsement) == []
    assert points_of(LICENCE, ("Mapping", {"licenceId": "L-1", "endorsementId": 7}), endorsement) == []
    assert points_of(LICENCE, endorsement) == []


def test_each_document_names_its_licences() -> None:
    def keys(table: str, data: Any) -> list[Any]:
        return list(endorsements.licence_keys(revision(table, data)))

    assert keys(*LICENCE) == keys(*MAPPING) == ["L-1"]
    assert keys("Endorsement", {"endorsementId": "E-1"}) == [KeyLookup("Mapping", "endorsementId", "E-1")]
    with pytest.raises(Unprojectable, match=r"^endorsementId is missing or not text$"):
        keys("Endorsement", {"endorsementId": 7})
    with pytest.raises(Unprojectable, match=r"^licenceId is missing or not text$"):
        keys("Mapping", [])
