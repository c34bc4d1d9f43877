"""The write side: appends transactions to the journal store with QLDB's blocks, hashes and chain (`Ledger`)."""

from strandline.ledger.ledger import Executed, Ledger
from strandline.ledger.prepared import Redacted, UserTable
from strandline.ledger.transaction import Transaction
from strandline.ledger.values import Document

__all__ = ["Document", "Executed", "Ledger", "Redacted", "Transaction", "UserTable"]
