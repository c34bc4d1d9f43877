"""The write side: appends transactions to the journal store with QLDB's blocks, hashes and chain (`Ledger`)."""

from strandline.ledger.ledger import ExecutionResult, Ledger
from strandline.ledger.prepared import RedactedRevision, UserTable
from strandline.ledger.transaction import Transaction
from strandline.ledger.values import Document

__all__ = ["Document", "ExecutionResult", "Ledger", "RedactedRevision", "Transaction", "UserTable"]
