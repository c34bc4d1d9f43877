"""Audit events of AI systems, each recorded once: who let which model decide what, and with what outcome.

An event has digests of the input and the output, never the input or the output itself.
"""

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from strandline.journal.errors import StrandlineError
from strandline.journal.make.block import at
from strandline.ledger import Ledger, Transaction
from strandline.ledger.errors import IndexExists, TableExists
from strandline.ledger.requests import written
from strandline.ledger.values import as_json

TABLE, INDEXED = "AuditEvent", "eventId"
RETRIES = 25
_DIGEST = re.compile(r"[a-z0-9]{2,16}:[0-9a-f]{16,128}")
_MOST_CHARACTERS = 256


class EventRecorded(StrandlineError):
    """Another event has this id; a recorded event does not change."""


class WrongEvent(StrandlineError):
    """A member of an event is missing or malformed."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One action of an AI system. A digest is `<algorithm>:<hex>`, such as `sha256:…`; `at` has an offset.

    Raises WrongEvent if a member is malformed.
    """

    event_id: str
    system: str
    model: str
    version: str
    actor: str
    action: str
    input_digest: str
    output_digest: str
    outcome: str
    at: datetime

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name == "at":
                if not isinstance(value, datetime) or value.tzinfo is None:
                    raise WrongEvent("at must be a time with an offset")
            elif not isinstance(value, str) or not 0 < len(value) <= _MOST_CHARACTERS or not value.isprintable():
                raise WrongEvent(f"{name} must be a text of 1 to {_MOST_CHARACTERS} printable characters")
            elif name.endswith("_digest") and not _DIGEST.fullmatch(value):
                raise WrongEvent(f"{name} must be a digest such as sha256:<hex>, not the data itself")

    def document(self) -> dict[str, Any]:
        """Return the event as the ledger stores it."""
        return {
            "eventId": self.event_id,
            "system": self.system,
            "model": self.model,
            "version": self.version,
            "actor": self.actor,
            "action": self.action,
            "inputDigest": self.input_digest,
            "outputDigest": self.output_digest,
            "outcome": self.outcome,
            "at": at(self.at),
        }


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """The document of an event; `new` is false if it was recorded before."""

    document_id: str
    new: bool


class AuditLog:
    """Records events in a ledger, from any number of threads. It cannot change or delete one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def create(self) -> None:
        """Create the table and its index if they do not exist."""
        for define in (lambda txn: txn.create_table(TABLE), lambda txn: txn.create_index(TABLE, INDEXED)):
            try:
                self._ledger.execute(define, retries=RETRIES)
            except (TableExists, IndexExists):
                continue

    def record(self, event: AuditEvent) -> RecordedEvent:
        """Record an event once. A repetition with the same members returns its document.

        Raises EventRecorded if another event has its id.
        """
        document = event.document()

        def work(txn: Transaction) -> RecordedEvent:
            for found in txn.find(TABLE, INDEXED, event.event_id):
                _check_same(as_json(found.data), document)
                return RecordedEvent(found.document_id, False)
            return RecordedEvent(txn.insert(TABLE, document), True)

        key = f"ai-audit/{event.event_id}"
        done = self._ledger.run(work, request_id=key, retries=RETRIES)
        recorded: RecordedEvent = done.result
        if not done.repeated:
            return recorded
        for stored in written(self._ledger.url, key, TABLE):
            _check_same(stored, document)
        return RecordedEvent(recorded.document_id, False)


def _check_same(stored: Any, document: dict[str, Any]) -> None:
    if stored is not None and stored != as_json(document):
        raise EventRecorded("another event is recorded under this eventId; events are not changed: record a new one")
