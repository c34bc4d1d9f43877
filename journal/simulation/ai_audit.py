"""A simulated ledger of AI audit events: each is recorded once; very rarely one is altered."""

from random import Random
from typing import ClassVar

from strandline.journal.simulation.ledger import Document, SimulatedLedger, Transaction, keep, new_id

_EVENTS_KEPT = 1_000
# A recorder refuses alterations; the read model shows them.
_ALTERED = 0.01
_SYSTEMS = {"credit-scoring": "scorecard", "claims-triage": "triage-net", "support-desk": "reply-drafter"}
_ACTIONS = ("score", "classify", "draft", "override")
_OUTCOMES = ("accepted", "accepted", "accepted", "refused", "referred", "error")


class AiAuditLedger(SimulatedLedger):
    """One table, one document for each event."""

    name = "ai-audit"
    tables: ClassVar = {"AuditEvent": "eventId"}

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self._events: list[Document] = []

    def act(self, transaction: Transaction, *, first: int, late: bool) -> None:
        if first > 3 and self.random.random() < _ALTERED:
            return self.outdate(transaction)
        system = self.random.choice(list(_SYSTEMS))
        event = {
            "eventId": new_id(self.random),
            "system": system,
            "model": _SYSTEMS[system],
            "version": f"{self.random.randint(1, 4)}.{self.random.randint(0, 9)}",
            "actor": f"user-{self.random.randrange(40):02d}",
            "action": self.random.choice(_ACTIONS),
            "inputDigest": f"sha256:{self.random.randbytes(32).hex()}",
            "outputDigest": f"sha256:{self.random.randbytes(32).hex()}",
            "outcome": self.random.choice(_OUTCOMES),
            "at": transaction.time,
        }
        recorded = transaction.insert(new_id(self.random), "AuditEvent", event)
        return keep(self.random, self._events, recorded, _EVENTS_KEPT)

    def outdate(self, transaction: Transaction) -> None:
        event = self.random.choice(self._events)
        data = {**event.data, "outcome": "accepted"}
        transaction.run("UPDATE AuditEvent AS e SET e.outcome = ? WHERE e.eventId = ?", "accepted", data["eventId"])
        transaction.revise(event, data)
