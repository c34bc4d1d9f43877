"""A fresh store imports the register of another one, then strips redacted data at intake."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.database.migrate import migrate
from strandline.consumer.erasure.register import import_register, read_file, read_register, write_file
from strandline.consumer.intake.writer import ForeignStrand
from strandline.consumer.monitoring.status import read_status
from strandline.consumer.verification.verify import verify_store
from strandline.journal.errors import StrandlineError, UsageError
from strandline.journal.ion.hash import sha256
from strandline.journal.make.format import Format
from tests.consumer.erasure.canaries import Canaries, canaries
from tests.consumer.erasure.conftest import PROJECTIONS, Replayed
from tests.consumer.erasure.dump import relations_with
from tests.journals import small_journal

NewStore = Callable[[str], Replayed]


@pytest.fixture
def fresh(empty_database: str, new_store: NewStore) -> Replayed:
    migrate(empty_database)
    return new_store(empty_database)


@contextmanager
def connected(store: Replayed) -> Iterator[psycopg.Connection[Any]]:
    with connect(store.url) as connection:
        yield connection


def exported(store: Replayed, made: Canaries, file: Path) -> Path:
    store.replay(made.blocks)
    with connected(store) as connection:
        write_file(read_register(connection), file)
    return file


@pytest.mark.parametrize("format", [Format.ION_BINARY, Format.JSON])
def test_early_export_is_stripped_of_later_redactions(
    store: Replayed, fresh: Replayed, tmp_path: Path, format: Format
) -> None:
    made = canaries()
    file = exported(store, made, tmp_path / "register.json")
    assert not [string for string in made.strings if string in file.read_text()]
    with connected(fresh) as connection:
        assert import_register(connection, read_file(file), 0) == 12
        assert import_register(connection, read_file(file), 0) == 0
        assert read_status(connection, PROJECTIONS.values()).redactions.pending == 12
    fresh.replay(made.blocks[: made.first_redaction], format)
    assert relations_with(fresh.url, made.strings) == {}
    with connected(fresh) as connection:
        counts = read_status(connection, PROJECTIONS.values()).redactions
    # Nothing is left of the data, and nothing in the journal says yet that they were redacted.
    assert (counts.pending, counts.open, counts.done) == (12, 0, 0)
    assert fresh.rows("SELECT FROM projection.receipt") == []
    found = verify_store(fresh.url, workers=1)
    assert (found.faults, found.unexplained_redactions) == ([], 0)
    fresh.replay(made.blocks, format)
    assert relations_with(fresh.url, made.strings) == {}
    assert verify_store(fresh.url, workers=1).faults == []
    assert len(fresh.rows("SELECT FROM projection.receipt")) == 12
    with connected(fresh) as connection:
        counts = read_status(connection, PROJECTIONS.values()).redactions
    assert (counts.pending, counts.open, counts.done) == (0, 0, 12)


def test_fresh_store_has_the_register_of_the_first(store: Replayed, fresh: Replayed, tmp_path: Path) -> None:
    made = canaries()
    with connected(fresh) as connection:
        import_register(connection, read_file(exported(store, made, tmp_path / "register.json")), 0)
    fresh.replay(made.blocks)
    with connected(store) as first, connected(fresh) as second:
        assert read_register(first) == read_register(second)


def test_data_with_another_hash_than_the_register_is_rejected(store: Replayed, fresh: Replayed, tmp_path: Path) -> None:
    made = canaries()
    file = exported(store, made, tmp_path / "register.json")
    register = read_file(file)
    content = json.loads(file.read_text())
    content["redactions"][0]["dataHash"] = "A" * 43 + "="
    file.write_text(json.dumps(content))
    first = register.entries[0]
    with connected(fresh) as connection:
        import_register(connection, read_file(file), 0)
    result = fresh.take(made.blocks)
    assert result.mark == first.sequence_no - 1
    assert fresh.rows("SELECT sequence_no, fault FROM journal.rejected") == [(first.sequence_no, "register")]
    assert relations_with(fresh.url, made.strings[:1]) == {}


def test_register_is_imported_into_a_fresh_store_only(store: Replayed, fresh: Replayed, tmp_path: Path) -> None:
    register = read_file(exported(store, canaries(), tmp_path / "register.json"))
    fresh.replay(canaries().blocks[:2])
    with connected(fresh) as connection, pytest.raises(StrandlineError, match="holds blocks already"):
        import_register(connection, register, 0)
    with connected(store) as connection:
        assert import_register(connection, register, 0) == 0


def test_store_with_a_register_refuses_another_strand(store: Replayed, fresh: Replayed, tmp_path: Path) -> None:
    register = read_file(exported(store, canaries(), tmp_path / "register.json"))
    with connected(fresh) as connection:
        import_register(connection, register, 0)
    with pytest.raises(ForeignStrand):
        fresh.take(small_journal("AnotherStrand000000000"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"strandId": "S"}',
        '{"strandId": "S", "redactions": [1]}',
        '{"strandId": "S", "redactions": [{}]}',
        "\ud800",
        "[" * 100_000,
    ],
)
def test_file_that_is_no_register_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "register.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UsageError, match="not a register") as error:
        read_file(file)
    assert "\n" not in str(error.value)


def test_register_has_the_hash_of_each_data(store: Replayed, tmp_path: Path) -> None:
    made = canaries()
    register = read_file(exported(store, made, tmp_path / "register.json"))
    assert len({entry.data_hash for entry in register.entries}) == 12
    assert sha256(b"") not in {entry.data_hash for entry in register.entries}
