"""The search document of a licence; real data has fields missing or of another type."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from strandline.consumer.projection.definition import KeyLookup, Revision, Unprojectable
from strandline.consumer.sinks.opensearch.rows import SearchRows
from strandline.projections.licensing import endorsements, licence_search

LICENCE = (
    "Licence",
    {"licenceId": "L-1", "status": "ACTIVE", "county": "Kent", "lastName": "Byron", "street": "1 Lane"},
)
MAPPING = ("Mapping", {"licenceId": "L-1", "endorsementId": "E-1"})
DATES = {"issueDtm": "2020-01-01T00:00:00.000+01:00", "expiryDtm": "2024-01-01"}


def revision(table: str, data: Any) -> Revision:
    return Revision("doc", 3, table, 9, "tx9", datetime(2020, 1, 1, tzinfo=UTC), "normal", data, b"")


def documents_of(*documents: tuple[str, dict[str, Any]]) -> list[Any]:
    made = [revision(table, data)._replace(document_id=f"d{n}") for n, (table, data) in enumerate(documents)]

    def lookup(table: str, field: str, value: object) -> list[Revision]:
        return [one for one in made if one.table == table and one.text(field) == value and value is not None]

    rows = list(licence_search.compose("L-1", lookup))
    SearchRows(licence_search.PROJECTION)([rows])  # its columns take the rows
    return rows


def test_document_has_endorsements_and_no_person() -> None:
    endorsement = {"endorsementId": "E-1", "points": 6, **DATES, "events": [{"by": "Ada"}]}
    assert documents_of(LICENCE, MAPPING, MAPPING, ("Endorsement", endorsement)) == [
        {
            "licence_document": "d0",
            "licence_id": "L-1",
            "status": "ACTIVE",
            "county": "Kent",
            "endorsements": [
                {
                    "endorsement_id": "E-1",
                    "points": 6,
                    "issued_at": "2019-12-31T23:00:00+00:00",
                    "expires_at": "2024-01-01T00:00:00+00:00",
                }
            ],
        }
    ]


def test_two_licences_of_one_number_without_endorsements_are_shown() -> None:
    found = documents_of(LICENCE, ("Licence", {"licenceId": "L-1", "status": 7, "county": ["Kent"]}))
    assert [(row["licence_document"], row["status"], row["county"], row["endorsements"]) for row in found] == [
        ("d0", "ACTIVE", "Kent", []),
        ("d1", None, None, []),
    ]
    assert documents_of(MAPPING, ("Endorsement", {"endorsementId": "E-1"})) == []


@pytest.mark.parametrize("odd", [None, "6", True, -1, Decimal("1.5"), 10**40, [3], "0001-01-01T00:00:00+23:59"])
def test_fields_of_other_types_are_empty(odd: Any) -> None:
    endorsement = {"endorsementId": "E-1", "points": odd, "issueDtm": odd, "expiryDtm": odd}
    (row,) = documents_of(LICENCE, MAPPING, ("Endorsement", endorsement))
    assert row["endorsements"] == [{"endorsement_id": "E-1", "points": None, "issued_at": None, "expires_at": None}]


def test_each_document_names_its_licences() -> None:
    def keys(table: str, data: Any) -> list[Any]:
        return list(endorsements.licence_keys(revision(table, data)))

    assert keys(*LICENCE) == keys(*MAPPING) == ["L-1"]
    assert keys("Endorsement", {"endorsementId": "E-1"}) == [KeyLookup("Mapping", "endorsementId", "E-1")]
    with pytest.raises(Unprojectable, match=r"^endorsementId is missing or not text$"):
        keys("Endorsement", {"endorsementId": 7})
    with pytest.raises(Unprojectable, match=r"^licenceId is missing or not text$"):
        keys("Licence", [])
