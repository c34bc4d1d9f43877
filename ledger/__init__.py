"""The ledger that goes on: the write side, which appends to the journal store with QLDB's blocks, hashes and chain."""

from strandline.ledger.ledger import Executed, Ledger
from strandline.ledger.prepared import Redacted, UserTable
from strandline.ledger.transaction import Transaction
from strandline.ledger.values import Document

__all__ = ["Document", "Executed", "Ledger", "Redacted", "Transaction", "UserTable"]
