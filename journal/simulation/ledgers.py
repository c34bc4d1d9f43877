"""The simulated ledgers by name."""

from strandline.journal.simulation.ai_audit import AiAuditLedger
from strandline.journal.simulation.ledger import SimulatedLedger
from strandline.journal.simulation.licensing import LicenceLedger
from strandline.journal.simulation.names import LedgerName
from strandline.journal.simulation.provenance import ProvenanceLedger
from strandline.journal.simulation.wallet import WalletLedger

LEDGERS: dict[LedgerName, type[SimulatedLedger]] = {
    LedgerName.LICENSING: LicenceLedger,
    LedgerName.WALLET: WalletLedger,
    LedgerName.PROVENANCE: ProvenanceLedger,
    LedgerName.AI_AUDIT: AiAuditLedger,
}
