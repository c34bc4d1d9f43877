"""The ledger that goes on: the write side, which appends to the journal store with QLDB's blocks, hashes and chain."""

from ledger.ledger import Executed, Ledger
from ledger.transaction import Redacted, Transaction, UserTable
from ledger.values import Document

__all__ = ["Document", "Executed", "Ledger", "Redacted", "Transaction", "UserTable"]
