"""Receipts that are changed or deleted are missed, by the stored head or by one that somebody outside has kept."""

import pytest

from strandline.cli.app import run as main
from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.purge import hide
from strandline.consumer.erasure.receipt_chain import Head, parse_head, read_head
from strandline.consumer.erasure.receipt_check import ReceiptCheck, check_receipts
from strandline.consumer.generations.stores import DATABASE_ONLY
from strandline.journal.errors import UsageError
from tests.consumer.erasure.canaries import canaries
from tests.consumer.erasure.conftest import PROJECTIONS, Replayed

RECEIPTS = 12


@pytest.fixture
def replayed(store: Replayed) -> Replayed:
    store.replay(canaries().blocks)
    return store


def check(store: Replayed, saved: Head | None = None) -> ReceiptCheck:
    with connect(store.url) as connection:
        return check_receipts(connection, PROJECTIONS, DATABASE_ONLY, saved)


def head(store: Replayed) -> Head:
    with connect(store.url) as connection:
        return read_head(connection)


def test_head_names_the_last_receipt(replayed: Replayed) -> None:
    ((number, digest),) = replayed.rows("SELECT number, hash FROM projection.receipt ORDER BY number DESC LIMIT 1")
    assert head(replayed) == (number, digest) == (RECEIPTS, digest)
    assert parse_head(str(head(replayed))) == head(replayed)
    assert check(replayed, head(replayed)).holds


@pytest.mark.parametrize(("deleted", "broken_at"), [("number = 12", 12), ("number > 3", 4), ("true", 1)])
def test_deleted_receipts_are_missed(replayed: Replayed, deleted: str, broken_at: int) -> None:
    replayed.rows(f"DELETE FROM projection.receipt WHERE {deleted}", returns=False)
    found = check(replayed)
    assert (found.holds, found.broken_at, found.reason) == (False, broken_at, "the stored head counts 12 receipts")
    assert found.without_receipt == RECEIPTS + 1 - broken_at


def test_deleted_receipts_are_missed_after_new_ones(replayed: Replayed) -> None:
    replayed.rows("DELETE FROM projection.receipt WHERE number > 10", returns=False)
    assert hide(replayed.url, PROJECTIONS, DATABASE_ONLY) == []
    found = check(replayed)
    assert (found.receipts, found.head.number, found.broken_at) == (RECEIPTS, RECEIPTS + 2, 13)
    assert found.without_receipt == 0


HIDDEN = "SELECT count(*) FILTER (WHERE hidden), (SELECT hidden FROM projection.receipt_head) FROM journal.redaction"


@pytest.mark.parametrize("deleted", ["number = 12", "number > 3", "true"])
def test_register_says_which_redactions_are_hidden(replayed: Replayed, deleted: str) -> None:
    assert replayed.rows(HIDDEN) == [(RECEIPTS, RECEIPTS)]
    replayed.rows(f"DELETE FROM projection.receipt WHERE {deleted}", returns=False)
    ((left,),) = replayed.rows("SELECT count(*) FROM projection.receipt")
    assert replayed.rows(HIDDEN) == [(left, left)]
    assert hide(replayed.url, PROJECTIONS, DATABASE_ONLY) == []
    assert replayed.rows(HIDDEN) == [(RECEIPTS, RECEIPTS)]


def test_register_that_claims_a_receipt_is_refuted(replayed: Replayed) -> None:
    replayed.rows("DELETE FROM projection.receipt WHERE number = 12", returns=False)
    replayed.rows("UPDATE journal.redaction SET hidden = true", returns=False)
    assert check(replayed).without_receipt == 1


def rewrite(store: Replayed, count: int) -> None:
    """Delete the last receipts, and make the head fit, as the owner of the database can."""
    store.rows("DELETE FROM projection.receipt WHERE number > %s", count, returns=False)
    last = store.rows("SELECT hash FROM projection.receipt WHERE number = %s", count)
    digest = last[0][0] if last else bytes(32)
    store.rows("UPDATE projection.receipt_head SET count = %s, hash = %s", count, digest, returns=False)


@pytest.mark.parametrize("count", [0, 11])
def test_head_kept_outside_shows_a_rewritten_chain(replayed: Replayed, count: int) -> None:
    kept = head(replayed)
    rewrite(replayed, count)
    assert check(replayed).broken_at is None
    found = check(replayed, kept)
    assert (found.broken_at, found.reason) == (count + 1, "the head given counts 12 receipts")
    # Issued again they have other times, so other hashes.
    assert hide(replayed.url, PROJECTIONS, DATABASE_ONLY) == []
    assert check(replayed).holds
    found = check(replayed, kept)
    assert (found.broken_at, found.reason) == (12, "it is not the one that the head names")


def test_stored_head_that_differs_is_found_beside_a_right_one_from_outside(replayed: Replayed) -> None:
    kept = head(replayed)
    replayed.rows("UPDATE projection.receipt_head SET hash = sha256('x')", returns=False)
    assert check(replayed, kept).broken_at == 12


@pytest.mark.parametrize("text", ["", "12", "12:", "x:00", f"-1:{'00' * 32}", f"1:{'00' * 31}"])
def test_text_that_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a head"):
        parse_head(text)


def test_commands_print_and_check_a_head(
    replayed: Replayed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", replayed.url)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        return main(arguments), *capsys.readouterr()

    _, printed, _ = run("receipts", "--head")
    kept = printed.strip()
    assert kept == str(head(replayed))
    assert run("receipts", "--verify", "--since", kept)[0] == 0
    rewrite(replayed, 11)
    status, _, err = run("receipts", "--verify", "--since", kept)
    assert (status, "broken at receipt 12: the head given counts 12 receipts" in err) == (1, True)
    assert run("receipts", "--since", kept)[0] == 2
