"""The ledgers that can be simulated, by name."""

from enum import StrEnum

from journal.ai_audit_ledger import AiAuditLedger
from journal.licence_ledger import LicenceLedger
from journal.provenance_ledger import ProvenanceLedger
from journal.simulated_ledger import SimulatedLedger
from journal.wallet_ledger import WalletLedger


class LedgerName(StrEnum):
    """As the folders of projections/ are named."""

    LICENSING = "licensing"
    WALLET = "wallet"
    PROVENANCE = "provenance"
    AI_AUDIT = "ai_audit"


LEDGERS: dict[LedgerName, type[SimulatedLedger]] = {
    LedgerName.LICENSING: LicenceLedger,
    LedgerName.WALLET: WalletLedger,
    LedgerName.PROVENANCE: ProvenanceLedger,
    LedgerName.AI_AUDIT: AiAuditLedger,
}
