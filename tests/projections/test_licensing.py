"""What each read model of the licence ledger makes of one revision; real data has fields missing or of another type."""

from datetime import UTC, datetime
from typing import Any

import pytest

from consumer.projection import Revision, State, Unprojectable
from projections.licensing import contact_directory, licence_history, licence_register

WRITTEN = datetime(2020, 1, 1, tzinfo=UTC)


def revision(table: str, data: dict[str, Any] | None, state: State = "normal") -> Revision:
    return Revision("doc", 3, table, 9, "tx9", WRITTEN, state, data, b"")


def test_the_register_has_no_names_and_no_addresses() -> None:
    data = {"licenceId": "L-1", "firstName": "Ada", "street": "1 Mill Lane", "status": "ACTIVE", "county": "Kent"}
    assert list(licence_register.rows(revision("Licence", data))) == [
        {"licence_id": "L-1", "status": "ACTIVE", "county": "Kent", "revised_at": WRITTEN}
    ]


def test_the_register_leaves_odd_fields_empty() -> None:
    (row,) = licence_register.rows(revision("Licence", {"licenceId": "L-1", "status": 7}))
    assert (row["status"], row["county"]) == (None, None)


@pytest.mark.parametrize("module", [licence_register, contact_directory])
@pytest.mark.parametrize("data", [{}, {"licenceId": 7}, {"licenceId": None}, [], "text"], ids=repr)
def test_without_a_licence_it_is_no_row(module: Any, data: Any) -> None:
    with pytest.raises(Unprojectable, match=r"^licenceId is missing or not text$"):
        list(module.rows(revision("Licence", data)))


@pytest.mark.parametrize("data", [{}, {"licenceId": 7, "events": "odd"}, [], "text", 7], ids=repr)
def test_the_history_takes_whatever_there_is(data: Any) -> None:
    (row,) = licence_history.rows(revision("Licence", data))
    assert (row["state"], row["licence_id"], row["transaction_id"]) == ("normal", None, "tx9")


@pytest.mark.parametrize("state", ["redacted", "deleted"])
def test_the_history_has_a_row_for_what_has_no_data(state: State) -> None:
    (row,) = licence_history.rows(revision("Licence", None, state))
    assert {name: value for name, value in row.items() if value is not None} == {
        "revised_at": WRITTEN,
        "transaction_id": "tx9",
        "state": state,
    }


def test_the_directory_says_how_to_reach_the_holder() -> None:
    data = {"licenceId": "L-1", "email": "ada@example.org", "mobile": 7}
    assert list(contact_directory.rows(revision("Contact", data))) == [
        {"licence_id": "L-1", "email": "ada@example.org", "mobile": None, "user_id": None}
    ]
