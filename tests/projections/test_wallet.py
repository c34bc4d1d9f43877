"""Rows of one revision in the wallet's read models; real data has fields missing or of another type."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from strandline.consumer.projection.definition import Revision, State, Unprojectable
from strandline.consumer.projection.discovery import discover
from strandline.projections.wallet import wallet_balance, wallet_search, wallet_statement

MOVED = datetime(2026, 1, 1, tzinfo=UTC)
DATA = {
    "accountId": "A",
    "balance": Decimal("7.50"),
    "txAmount": Decimal("2.50"),
    "txFrom": "A",
    "txTo": None,
    "txType": "WithdrawFunds",
    "txRequestId": "r1",
}


def revision(data: Any, state: State = "normal") -> Revision:
    return Revision("doc", 3, "Wallet", 9, "tx9", MOVED, state, data, b"")


def test_statement_has_every_movement() -> None:
    assert list(wallet_balance.rows(revision(DATA))) == [
        {"account_id": "A", "balance": Decimal("7.50"), "moved_at": MOVED}
    ]
    assert list(wallet_statement.rows(revision(DATA))) == [
        {
            "account_id": "A",
            "moved_at": MOVED,
            "state": "normal",
            "type": "WithdrawFunds",
            "amount": Decimal("2.50"),
            "balance": Decimal("7.50"),
            "source": "A",
            "destination": None,
            "request_id": "r1",
        }
    ]


def test_search_has_no_account() -> None:
    (row,) = wallet_search.rows(revision(DATA))
    assert row == {"type": "WithdrawFunds", "moved_at": MOVED, "amount": Decimal("2.50")}
    assert list(wallet_search.rows(revision(None, "redacted"))) == []


@pytest.mark.parametrize("data", [{}, {"accountId": 7}, [], {"accountId": "A", "balance": True}, {"accountId": "A"}])
def test_wallet_without_account_or_balance_parks(data: Any) -> None:
    with pytest.raises(Unprojectable, match=r"^(accountId|balance) is missing or no"):
        list(wallet_balance.rows(revision(data)))


@pytest.mark.parametrize("state", ["redacted", "deleted"])
def test_statement_shows_redactions_and_deletions(state: State) -> None:
    (row,) = wallet_statement.rows(revision(None, state))
    assert {name: value for name, value in row.items() if value is not None} == {"moved_at": MOVED, "state": state}


def test_only_restricted_models_have_accounts() -> None:
    for projection in discover(["strandline.projections.wallet"]).values():
        names = {column.name for column in projection.columns}
        assert projection.readers == "cleared" or not names & {"account_id", "source", "destination", "request_id"}
