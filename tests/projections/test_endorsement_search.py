"""The search document of an endorsement; real data has fields missing or of another type."""

from datetime import UTC, datetime
from typing import Any

import pytest

from strandline.consumer.projection.definition import Revision, Unprojectable
from strandline.projections.licensing import endorsement_search

WRITTEN = datetime(2020, 1, 1, tzinfo=UTC)
PERSONAL = {"userId": "u", "events": [{"by": "Ada Byron"}]}


def rows(data: Any) -> list[Any]:
    return list(endorsement_search.rows(Revision("doc", 3, "Endorsement", 9, "tx9", WRITTEN, "normal", data, b"")))


def test_row_has_number_points_and_dates_and_no_person() -> None:
    data = {"endorsementId": "E", "licenceId": "L", "points": 8, "issueDtm": "2020-01-02T03:04:05.678Z", **PERSONAL}
    assert rows(data) == [
        {
            "endorsement_id": "E",
            "licence_id": "L",
            "points": 8,
            "issued_at": datetime(2020, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
            "expires_at": None,
            "revised_at": WRITTEN,
        }
    ]


@pytest.mark.parametrize("points", [None, True, "8", -1, 2**31, 1.5, [8]], ids=repr)
@pytest.mark.parametrize("moment", [None, 7, "", "soon", "2020-01-02", "2020-01-02T03:04:05", "2020-13-01T00:00Z"])
def test_fields_of_other_types_are_empty(points: object, moment: object) -> None:
    (row,) = rows({"endorsementId": "E", "licenceId": 7, "points": points, "issueDtm": moment, "expiryDtm": moment})
    assert [row[name] for name in ("licence_id", "points", "issued_at", "expires_at")] == [None] * 4


@pytest.mark.parametrize("data", [{}, {"endorsementId": 7}, [], "text"], ids=repr)
def test_endorsement_without_number_parks(data: Any) -> None:
    with pytest.raises(Unprojectable, match=r"^endorsementId is missing or not text$"):
        rows(data)
