"""What a transaction can fail with; the limits are those of QLDB's developer guide ("Quotas")."""

from strandline.journal.errors import StrandlineError


class LedgerError(StrandlineError):
    """The ledger refuses what was asked; nothing was written."""


class Conflict(LedgerError):
    """Another transaction changed what this one had read."""


class NoSuchTable(LedgerError):
    """No active table has this name."""


class TableExists(LedgerError):
    """An active table has this name already."""


class TooManyTables(LedgerError):
    """The ledger has as many active tables as it may have."""


class ReservedTable(LedgerError):
    """The table is the ledger's own."""


class IndexExists(LedgerError):
    """The table has an index on this field already."""


class NotIndexed(LedgerError):
    """The table has no index on this field, so nothing can be found by it."""


class NoSuchDocument(LedgerError):
    """The table has no current document of this id."""


class WrongDocument(LedgerError):
    """What was given is no document: not a struct of Ion values."""


class DocumentTooLarge(LedgerError):
    """A document is larger than it may be."""


class TransactionTooLarge(LedgerError):
    """The documents of a transaction are together larger than they may be."""


class TooManyDocuments(LedgerError):
    """A transaction writes more documents than it may."""


class TooManyRedactions(LedgerError):
    """A transaction redacts more than one revision."""


class NoSuchRevision(LedgerError):
    """There is no such revision at this address."""


class ActiveRevision(LedgerError):
    """The revision is its document's current one, so it cannot be redacted."""


class NothingToRedact(LedgerError):
    """The revision holds no data: it was redacted before, or deleted its document."""


class CannotAppend(LedgerError):
    """The journal's end is not one that can be appended to."""


class RequestDone(LedgerError):
    """The request happened before, and its result can no longer be derived."""
