"""Hints files and DDL."""

import pytest

from strandline.journal.errors import UsageError
from strandline.journal.restore.hints import read_hints

DDL = """create table dmv.vehicle_registration (
    doc_id varchar(25), version integer, pending_penalty_amt decimal(10, 2), valid_from_dt date,
    "LicensePlateNumber" varchar(25), ql_audit jsonb
);
CREATE TABLE IF NOT EXISTS dmv.person (dob date, photo bytea);"""


def test_hints_are_read_by_path() -> None:
    hints = read_hints(
        "# types\nLicence.issued: timestamp\n\nLicence.events[].fee: money::decimal, decimal(2)  # fees\n"
        'Licence."a.b"[][].c: null.string\n',
        "hints.txt",
    )

    licence = hints.table("Licence")
    assert licence.get(("issued",)) == ("timestamp",)
    assert licence.get(("events", "[]", "fee")) == ("money::decimal", "decimal(2)")
    assert licence.get(("a.b", "[]", "[]", "c")) == ("null.string",)
    assert licence.get(("other",)) == ()
    assert hints.table("Other").get(("issued",)) == ()


@pytest.mark.parametrize(
    "line", ["Licence", "Licence: timestamp", "Licence.: int", "Licence.a", "Licence.a: date", "Licence.a: decimal(x)",
             "Licence.a: timestamp(week)", "Licence.a:", "Licence..b: int"],
)  # fmt: skip
def test_line_that_is_no_hint_is_named(line: str) -> None:
    with pytest.raises(UsageError, match=r"hints\.txt, line 2: "):
        read_hints(f"Licence.a: int\n{line}\n", "hints.txt")


def test_ddl_hints_by_column_name_in_any_spelling() -> None:
    hints = read_hints(DDL, "kit.sql")

    registration = hints.table("VehicleRegistration")
    assert registration.get(("PendingPenaltyAmt",)) == ("decimal",)
    assert registration.get(("dates", "[]", "ValidFromDt")) == ("timestamp(day)", "timestamp")
    assert registration.get(("licensePlateNumber",)) == ("string",)
    assert registration.get(("unknown",)) == ()
    assert hints.table("Person").get(("Photo",)) == ("blob",)
