"""A simulated wallet ledger: accounts are opened, funds are added and withdrawn, never below zero."""

from decimal import Decimal
from random import Random
from typing import ClassVar

from strandline.journal.simulation.ledger import Document, SimulatedLedger, Transaction, keep, new_id

_ACCOUNTS_KEPT = 5_000
_OPEN, _ADD, _CHECK = 0.15, 0.6, 0.65


class WalletLedger(SimulatedLedger):
    """One table; each revision of an account's document is a movement, with the balance after it."""

    name = "wallet"
    tables: ClassVar = {"Wallet": "accountId"}

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self._accounts: list[Document] = []

    def act(self, transaction: Transaction, *, first: int, late: bool) -> None:
        drawn = self.random.random()
        if first < 3 or drawn < _OPEN:
            self._open(transaction)
        elif drawn < _ADD:
            self._move(transaction, self.random.choice(self._accounts), self._amount(50_000))
        elif drawn < _CHECK:
            account = self.random.choice(self._accounts).data["accountId"]
            transaction.run("SELECT w.balance FROM Wallet AS w WHERE w.accountId = ?", account)
        else:
            self._withdraw(transaction)

    def outdate(self, transaction: Transaction) -> None:
        self._move(transaction, self.random.choice(self._accounts), self._amount(50_000))

    def _open(self, transaction: Transaction) -> None:
        account = f"ACC-{self.random.randrange(10**9):09d}"
        data = _movement(account, Decimal("0.00"), Decimal("0.00"), "CreateAccount", new_id(self.random))
        opened = transaction.insert(new_id(self.random), "Wallet", data)
        keep(self.random, self._accounts, opened, _ACCOUNTS_KEPT)

    def _withdraw(self, transaction: Transaction) -> None:
        account = self.random.choice(self._accounts)
        cents = int(account.data["balance"] * 100)
        if cents == 0:
            self._move(transaction, account, self._amount(50_000))
        else:
            self._move(transaction, account, -self._amount(cents))

    def _move(self, transaction: Transaction, account: Document, amount: Decimal) -> None:
        kind = "AddFunds" if amount > 0 else "WithdrawFunds"
        id_, balance = account.data["accountId"], account.data["balance"] + amount
        data = _movement(id_, balance, abs(amount), kind, new_id(self.random))
        transaction.run("UPDATE Wallet AS w SET w = ? WHERE w.accountId = ?", data, id_)
        transaction.revise(account, data)

    def _amount(self, most_cents: int) -> Decimal:
        return Decimal(self.random.randint(1, most_cents)).scaleb(-2)


def _movement(account: str, balance: Decimal, amount: Decimal, kind: str, request_id: str) -> dict[str, object]:
    out = kind == "WithdrawFunds"
    return {
        "accountId": account,
        "balance": balance,
        "txAmount": amount,
        "txFrom": account if out else None,
        "txTo": None if out else account,
        "txType": kind,
        "txRequestId": request_id,
    }
