"""A draft of a projection: whatever a table's fields are called, the file is one that works."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strandline.cli import main
from strandline.consumer.projection.definition import RESERVED, Revision, RowProjection
from strandline.consumer.projection.draft import Field, draft, snake
from strandline.consumer.projection.validation import find_fault
from strandline.journal.errors import UsageError
from strandline.ledger import Ledger


def field(name: str, kind: str = "string", share: str = "1") -> Field:
    return Field((name,), kind, 7, Decimal(share))


def compiled(text: str) -> RowProjection:
    names: dict[str, object] = {}
    exec(compile(text, "draft", "exec"), names)
    projection = names["PROJECTION"]
    assert isinstance(projection, RowProjection)
    return projection


def test_each_type_has_its_column() -> None:
    text = draft(
        "Licence",
        "licence",
        [
            field("licenceId"),
            field("points", "int"),
            field("fee", "decimal", "0.004"),
            field("isValid", "bool"),
            field("issuedAt", "timestamp"),
            field("photo", "blob"),
            field("odd", "int"),
            field("odd", "string", "0.25"),
            field("lost", "null"),
            field("events", "list"),
            Field(("events", "[]", "name"), "string", 7, Decimal("0.5")),
        ],
    )
    projection = compiled(text)
    assert [(one.name, one.type) for one in projection.columns] == [
        ("licence_id", "text"),
        ("points", "numeric"),
        ("fee", "numeric"),
        ("is_valid", "boolean"),
        ("issued_at", "timestamptz"),
        ("photo", "text"),
        ("odd", "jsonb"),
        ("lost", "jsonb"),
        ("events", "jsonb"),
    ]
    assert (projection.name, projection.tables, projection.readers) == ("licence", ("Licence",), "cleared")
    assert projection.columns[2].description == "fee: decimal in less than 1 % of the revisions."
    assert "#   events.[].name: string in 50 %" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("licenceId", "licence_id"),
        ("HTTPServer", "http_server"),
        ("UPPER", "upper"),
        ("2nd", "f_2nd"),
        ("é", "f_"),
        ("a" * 50, "a" * 40),
    ],
)
def test_names_are_in_snake_case(name: str, expected: str) -> None:
    assert snake(name) == expected.rstrip("_")


@given(st.lists(st.text(max_size=60), min_size=1, max_size=8, unique=True), st.text(max_size=20))
def test_draft_is_valid_for_any_field_names(names: list[str], table: str) -> None:
    projection = compiled(draft(table, "draft", [field(name) for name in names]))
    assert len({column.name for column in projection.columns}) == len(names)
    assert projection.tables == (table,)
    data = {name: f"value of {name!r}" for name in names}
    revision = Revision("doc", 0, table, 1, "tx", datetime(2026, 1, 1, tzinfo=UTC), "normal", data, b"")
    (row,) = projection.rows(revision)
    assert sorted(map(str, row.values())) == sorted(data.values())


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_draft_has_no_column_of_a_reserved_name(name: str) -> None:
    projection = compiled(draft("T", "t", [field(name), field(f"{name}_of")]))
    assert [one.name for one in projection.columns] == [f"{name}_of", f"{name}_of_of"]
    assert find_fault(projection) is None


def test_tables_without_fields_and_invalid_names_are_refused() -> None:
    with pytest.raises(UsageError, match="--name"):
        draft("Licence", "No name", [field("a")])
    with pytest.raises(UsageError, match="nothing to make columns of"):
        draft("Licence", "licence", [Field((), "string", 1, Decimal(1))])


def test_command_writes_a_projection_that_works(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path))
    with Ledger(database) as ledger:
        ledger.execute(lambda txn: [txn.create_table(name) for name in ("Parcel", "Empty")])
        ledger.execute(lambda txn: txn.insert("Parcel", {"sku": "A", "weight": Decimal("1.5"), "to": {"town": "Fife"}}))
    assert main(["init-projection", "Parcel"]) == 0
    assert "`strandline rebuild parcel`" in capsys.readouterr().out
    text = Path("parcel.py").read_text()
    assert [(one.name, one.type) for one in compiled(text).columns] == [
        ("sku", "text"), ("to", "jsonb"), ("weight", "numeric"),
    ]  # fmt: skip
    assert "#   to.town: string in 100 %" in text
    assert "Fife" not in text
    for arguments, told in (
        (["init-projection", "Parcel"], "already exists"),
        (["init-projection", "Nothing"], "Empty, Parcel, StrandlineGraft"),
        (["init-projection", "Empty"], "no documents"),
        (["init-projection", "Parcel", "--name", "licence_register"], "another name"),
    ):
        assert main(arguments) == 2
        assert told in capsys.readouterr().err
