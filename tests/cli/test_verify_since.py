"""`verify --since` checks a part of the store, and says which; a verification that holds is recorded with its time."""

from pathlib import Path

import psycopg
import pytest

from tests.commands import Run
from tests.journals import ADA, STRAND, ion_binary, small_journal


@pytest.fixture
def stored(run: Run, tmp_path: Path) -> Run:
    """The small journal, blocks 0 to 8, in the store."""
    (tmp_path / f"{STRAND}.0-8.ion").write_bytes(ion_binary(small_journal()))
    assert run("replay", str(tmp_path / f"{STRAND}.0-8.ion")).status == 0
    return run


def change(database: str, statement: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        assert connection.execute(statement.encode()).rowcount == 1


def test_a_part_names_its_blocks_and_says_what_it_leaves_out(stored: Run) -> None:
    first = stored("verify", "--since", "5")
    assert first.status == 0
    lines = first.out.splitlines()
    assert lines[0] == "Blocks 5 to 8 ONLY: VERIFIED: every hash and link holds."
    assert "Not verified now, at no recorded time: blocks 0 to 4." in lines
    assert "Checked 4 blocks (5 to 8" in first.out
    assert not any("consistent with itself" in line or line.startswith("Digest") for line in lines)
    told = stored("verify", "--since", "5", "--json").json
    assert (told["ok"], told["blocks"], told["digest"]) == (True, 4, None)
    assert (told["scope"]["full"], told["scope"]["first"], told["scope"]["last"]) == (False, 5, 8)
    assert told["scope"]["not_verified_now"] == [{"first": 0, "last": 4, "verified_at": None}]


def test_a_full_verification_says_so_and_is_where_the_next_begins(stored: Run) -> None:
    full = stored("verify")
    assert full.out.startswith("VERIFIED: every hash")
    assert "A full verification: every block of the store up to the mark, 8." in full.out
    told = stored("verify", "--since", "last", "--json").json
    assert (told["scope"]["first"], told["blocks"]) == (8, 1)
    (below,) = told["scope"]["not_verified_now"]
    assert (below["first"], below["last"]) == (0, 7)
    assert below["verified_at"] is not None
    assert "Not verified now, but at 2" in stored("verify", "--since", "4").out


def test_status_says_what_was_verified_when(stored: Run) -> None:
    assert stored("status", "--json").json["verification"] is None
    stored("verify", "--since", "5")
    stored("verify")
    told = stored("status", "--json").json["verification"]
    assert (told["first"], told["last"], told["level"]) == (0, 8, "full")
    assert "`verify` held for blocks 0 to 8 at 2" in stored("status").out


def test_last_without_a_record_checks_every_block(stored: Run) -> None:
    found = stored("verify", "--since", "last")
    assert "No verification of this store is recorded" in found.err
    assert "A full verification" in found.out


def test_a_change_below_is_not_claimed_to_be_checked(stored: Run, database: str) -> None:
    change(
        database,
        f"UPDATE journal.revision SET data = jsonb_set(data, '{{status}}', '\"x\"') "
        f"WHERE document_id = '{ADA}' AND version = 1",
    )
    assert stored("verify", "--since", "3").status == 1
    found = stored("verify", "--since", "4")
    assert (found.status, found.out.splitlines()[0][:18]) == (0, "Blocks 4 to 8 ONLY")
    assert stored("verify").out.splitlines()[0] == "NOT VERIFIED: 1 fault."


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE journal.block SET block_hash = sha256('x') WHERE sequence_no = 4", "previousBlockHash"),
        ("UPDATE journal.block SET previous_hash = sha256('x') WHERE sequence_no = 5", "previousBlockHash"),
        ("DELETE FROM journal.block WHERE sequence_no = 8", "missing"),
        ("DELETE FROM journal.block WHERE sequence_no = 5", "missing"),
        (f"DELETE FROM journal.document WHERE document_id = '{ADA}'", "document"),
    ],
)
def test_what_a_part_touches_is_checked(stored: Run, database: str, statement: str, fault: str) -> None:
    change(database, statement)
    found = stored("verify", "--since", "5", "--json")
    assert (found.status, found.json["ok"]) == (1, False)
    assert fault in [one["fault"] for one in found.json["faults"]]


def test_a_block_that_is_no_longer_the_verified_one_is_a_fault(stored: Run, database: str) -> None:
    assert stored("verify").status == 0
    change(database, "UPDATE journal.verification SET last_no = 3, first_no = 0")
    found = stored("verify", "--since", "6", "--json").json
    assert [(one["sequenceNo"], one["fault"]) for one in found["faults"]] == [(3, "verified")]


def test_what_does_not_hold_is_not_recorded(stored: Run, database: str) -> None:
    change(database, "UPDATE journal.block SET tables = '{}' WHERE sequence_no = 3")
    assert stored("verify").status == 1
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM journal.verification").fetchone() == (0,)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "9"], "a block up to the mark, 8"),
        (["--since", "x"], "or `last`, not x"),
        (["--since", "3", "--tip", "5"], "checks a part of the store"),
        (["--since", "3", "--require", "full"], "checks a part of the store"),
        (["somewhere", "--since", "3"], "checks a part of the store"),
    ],
)
def test_a_part_cannot_answer_for_all(stored: Run, arguments: list[str], said: str) -> None:
    found = stored("verify", *arguments)
    assert (found.status, found.out) == (2, "")
    assert said in found.err


def test_the_auditor_verifies_and_records_but_not_the_time_or_the_name(stored: Run, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET ROLE strandline_auditor")
        for column, value in (("ended_at", "now()"), ("verified_by", "'somebody'")):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(
                    f"INSERT INTO journal.verification (first_no, last_no, block_hash, level, began_at, {column}) "
                    f"VALUES (0, 8, '', 'full', now(), {value})".encode()
                )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM journal.verification")
    assert stored("verify").status == 0
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT first_no, last_no, level, began_at < ended_at, verified_by = session_user FROM journal.verification"
        ).fetchall()
    assert rows == [(0, 8, "full", True, True)]


@pytest.mark.parametrize("arguments", [[], ["--since", "last"]])
def test_a_store_that_was_cut_back_is_a_fault(stored: Run, database: str, arguments: list[str]) -> None:
    """Its chain holds; only what was recorded shows that it once was longer."""
    assert stored("verify").status == 0
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM journal.block WHERE sequence_no = 8")
        connection.execute(
            "UPDATE journal.mark SET sequence_no = 7,"
            " block_hash = (SELECT block_hash FROM journal.block WHERE sequence_no = 7)"
        )
    found = stored("verify", *arguments, "--json").json
    assert (8, "verified") in [(one["sequenceNo"], one["fault"]) for one in found["faults"]]
