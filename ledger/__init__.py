"""The ledger that goes on: the write side, which appends to the journal store with QLDB's blocks, hashes and chain."""

from ledger.ledger import Executed, Ledger
from ledger.prepared import Redacted, UserTable
from ledger.transaction import Transaction
from ledger.values import Document

__all__ = ["Document", "Executed", "Ledger", "Redacted", "Transaction", "UserTable"]
