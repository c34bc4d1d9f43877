"""Errors of transactions. The limits are those of QLDB's developer guide ("Quotas")."""

from strandline.journal.errors import StrandlineError


class LedgerError(StrandlineError):
    """The ledger refuses the transaction; nothing was written."""


class Conflict(LedgerError):
    """Another transaction changed a document that this one had read."""


class NoSuchTable(LedgerError):
    """No active table has this name."""


class TableExists(LedgerError):
    """An active table has this name already."""


class TooManyTables(LedgerError):
    """The ledger has the most active tables that it may have."""


class TooManyIndexes(LedgerError):
    """The table has the most indexes that it may have."""


class NoSuchIndex(LedgerError):
    """The table has no index of this id."""


class ReservedTable(LedgerError):
    """The table is the ledger's own."""


class IndexExists(LedgerError):
    """The table has an index on this field already."""


class NotIndexed(LedgerError):
    """The table has no index on this field, so documents cannot be found by it."""


class NoSuchDocument(LedgerError):
    """The table has no current document of this id."""


class WrongDocument(LedgerError):
    """A value is no document: not a struct of Ion values."""


class DocumentTooLarge(LedgerError):
    """A document is larger than it may be."""


class TransactionTooLarge(LedgerError):
    """The documents of a transaction are larger in total than they may be."""


class TooManyDocuments(LedgerError):
    """A transaction writes more documents than it may."""


class TooManyRedactions(LedgerError):
    """A transaction redacts more than one revision."""


class NoSuchRevision(LedgerError):
    """There is no such revision at this address."""


class ActiveRevision(LedgerError):
    """The revision is its document's current one, so it cannot be redacted."""


class NothingToRedact(LedgerError):
    """The revision has no data: it is redacted, or it deleted its document."""


class TransactionEnded(LedgerError):
    """The transaction was committed or aborted, or one of its statements failed."""


class TransactionExpired(LedgerError):
    """The transaction was open for longer than it may be."""


class CannotAppend(LedgerError):
    """Nothing can be appended to the journal's last block."""


class RequestDone(LedgerError):
    """The request happened before, and its result can no longer be derived."""
