"""The wallet's accounts: each addition or withdrawal of money is a transaction of the ledger."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from strandline.ledger import Document, ExecutionResult, Ledger, Transaction
from strandline.ledger.errors import Conflict, IndexExists, NoSuchTable, NotIndexed, RequestDone, TableExists
from strandline.ledger.requests import written
from strandline.ledger.wallet.amounts import MOST_BALANCE
from strandline.ledger.wallet.problems import (
    AccountExists,
    Busy,
    InsufficientFunds,
    NoSuchAccount,
    NotReady,
    OddAccount,
    Problem,
    RequestLost,
    RequestReused,
)

TABLE, INDEXED = "Wallet", "accountId"
CREATE, ADD, WITHDRAW = "CreateAccount", "AddFunds", "WithdrawFunds"
# Requests for one account conflict with each other; a client of API Gateway waits for half a minute at most.
RETRIES = 25


@dataclass(frozen=True, slots=True)
class Balance:
    account_id: str
    balance: Decimal


@dataclass(frozen=True, slots=True)
class Movement:
    """A movement's account, and its balance before and after."""

    account_id: str
    previous: Decimal
    current: Decimal


class Wallet:
    """The wallet in a ledger. May be used from any number of threads, as the ledger may.

    A request happens once, however often it is sent under its id, and returns the same result each time.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def create_table(self) -> str:
        """Create the wallet's table and return its id. Raises NotReady if it exists."""
        try:
            return self._run(lambda txn: txn.create_table(TABLE)).result  # type: ignore[no-any-return]
        except TableExists:
            raise NotReady(f"the table {TABLE} exists already; nothing to do") from None

    def create_index(self) -> None:
        """Index the accounts' ids. Raises NotReady if there is no table, or the index exists."""
        try:
            self._run(lambda txn: txn.create_index(TABLE, INDEXED))
        except IndexExists:
            raise NotReady(f"the index on {INDEXED} exists already; nothing to do") from None

    def create_account(self, account_id: str, request_id: str) -> Balance:
        """Open an account with a balance of zero. Raises AccountExists."""
        opened = _document(account_id, Decimal(0), Decimal(0), CREATE, request_id)

        def work(txn: Transaction) -> Balance:
            if txn.find(TABLE, INDEXED, account_id):
                raise AccountExists("an account has this accountId; choose another, or use that account")
            txn.insert(TABLE, opened)
            return Balance(account_id, Decimal(0))

        return self._once(work, request_id, opened)  # type: ignore[no-any-return]

    def check_funds(self, account_id: str) -> Balance:
        """Return an account's balance. Raises NoSuchAccount."""

        def work(txn: Transaction) -> Balance:
            return Balance(account_id, _balance(_account(txn, account_id)))

        return self._run(work).result  # type: ignore[no-any-return]

    def add_funds(self, account_id: str, amount: Decimal, request_id: str) -> Movement:
        """Add money to an account. Raises NoSuchAccount."""
        return self._move(account_id, amount, ADD, request_id)

    def withdraw_funds(self, account_id: str, amount: Decimal, request_id: str) -> Movement:
        """Withdraw money. Raises NoSuchAccount, or InsufficientFunds if the balance would be negative."""
        return self._move(account_id, amount, WITHDRAW, request_id)

    def _move(self, account_id: str, amount: Decimal, kind: str, request_id: str) -> Movement:
        def work(txn: Transaction) -> Movement:
            account = _account(txn, account_id)
            previous = _balance(account)
            current = previous + amount if kind == ADD else previous - amount
            if current < 0:
                raise InsufficientFunds("the account's balance is less than the amount")
            if current >= MOST_BALANCE:
                raise OddAccount("the account's balance would exceed the largest possible balance")
            txn.update(TABLE, account.document_id, _document(account_id, current, amount, kind, request_id))
            return Movement(account_id, previous, current)

        request = _document(account_id, Decimal(0), amount, kind, request_id)
        return self._once(work, request_id, request)  # type: ignore[no-any-return]

    def _once(self, work: Callable[[Transaction], Any], request_id: str, request: dict[str, Any]) -> Any:
        key = f"wallet/{request_id}"
        try:
            done = self._run(work, key)
        except Problem as problem:
            # If a repetition has other members, that is the error to report.
            if not isinstance(problem, Busy):
                self._check_same(key, request)
            raise
        if done.repeated:
            self._check_same(key, request)
        return done.result

    def _run(self, work: Callable[[Transaction], Any], request_id: str | None = None) -> ExecutionResult:
        try:
            return self._ledger.run(work, request_id=request_id, retries=RETRIES)
        except NoSuchTable:
            raise NotReady(f"there is no table {TABLE}: call CreateTable, then Index") from None
        except NotIndexed:
            raise NotReady(f"the table {TABLE} has no index on {INDEXED}: call Index") from None
        except RequestDone:
            raise RequestLost("data that it read has been redacted since") from None
        except Conflict:
            raise Busy("other requests came first each time; send it again with the same requestId") from None

    def _check_same(self, key: str, request: dict[str, Any]) -> None:
        for data in written(self._ledger.url, key, TABLE):
            if data is not None and _identity(data) != _identity(request):
                raise RequestReused("this requestId belongs to another request: give each request its own")


def _account(txn: Transaction, account_id: str) -> Document:
    found = txn.find(TABLE, INDEXED, account_id)
    if not found:
        raise NoSuchAccount("no account has this accountId")
    if len(found) > 1:
        raise OddAccount("two documents claim this accountId")
    return found[0]


def _balance(account: Document) -> Decimal:
    balance = (account.data or {}).get("balance")
    if isinstance(balance, int) and not isinstance(balance, bool):
        balance = Decimal(balance)
    if not isinstance(balance, Decimal) or not balance.is_finite():
        raise OddAccount("the account's balance is not an exact decimal, or was redacted")
    return balance


def _document(account_id: str, balance: Decimal, amount: Decimal, kind: str, request_id: str) -> dict[str, Any]:
    """Return an account's document after a movement. From and to are null outside the wallet."""
    out = kind == WITHDRAW
    return {
        "accountId": account_id,
        "balance": balance,
        "txAmount": amount,
        "txFrom": account_id if out else None,
        "txTo": None if out else account_id,
        "txType": kind,
        "txRequestId": request_id,
    }


def _identity(document: dict[str, Any]) -> tuple[object, ...]:
    """Return the members of a document that identify the request that wrote it."""
    return document.get("accountId"), document.get("txType"), document.get("txAmount")
