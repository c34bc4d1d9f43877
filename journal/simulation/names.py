"""The names of the sample ledgers; a module of its own, which the command line can import quickly."""

from enum import StrEnum


class LedgerName(StrEnum):
    """The names of the folders in projections/."""

    LICENSING = "licensing"
    WALLET = "wallet"
    PROVENANCE = "provenance"
    AI_AUDIT = "ai_audit"
