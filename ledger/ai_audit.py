"""Audit events of AI systems, each recorded once: who had what decided by which model, and what came of it.

An event holds digests of input and output, never themselves.
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
    """Another event has this id; what is recorded is not changed."""


class WrongEvent(StrandlineError):
    """What was given is no event."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One thing that an AI system did. Digests are `sha256:…` or alike, in hex; `at` has an offset.

    Raises WrongEvent where a member is not what it should be.
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
                    raise WrongEvent("at is to be a moment with an offset")
            elif not isinstance(value, str) or not 0 < len(value) <= _MOST_CHARACTERS or not value.isprintable():
                raise WrongEvent(f"{name} is to be a text of 1 to {_MOST_CHARACTERS} printable characters")
            elif name.endswith("_digest") and not _DIGEST.fullmatch(value):
                raise WrongEvent(f"{name} is to be a digest such as sha256:<hex>, not what it is of")

    def document(self) -> dict[str, Any]:
        """As the ledger keeps it."""
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
class Recorded:
    """Where an event is; `new` is false where it was recorded before."""

    document_id: str
    new: bool


class AuditLog:
    """Records events in a ledger; for any number of threads. There is no way to change or delete one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def create(self) -> None:
        """Make the table and its index, where they are not there yet."""
        for define in (lambda txn: txn.create_table(TABLE), lambda txn: txn.create_index(TABLE, INDEXED)):
            try:
                self._ledger.execute(define, retries=RETRIES)
            except (TableExists, IndexExists):
                continue

    def record(self, event: AuditEvent) -> Recorded:
        """Record an event, once; again with the same members, it gives where it is.

        Raises EventRecorded where another event has its id.
        """
        document = event.document()

        def work(txn: Transaction) -> Recorded:
            for found in txn.find(TABLE, INDEXED, event.event_id):
                _check_same(as_json(found.data), document)
                return Recorded(found.document_id, False)
            return Recorded(txn.insert(TABLE, document), True)

        key = f"ai-audit/{event.event_id}"
        done = self._ledger.run(work, request_id=key, retries=RETRIES)
        recorded: Recorded = done.result
        if not done.repeated:
            return recorded
        for held in written(self._ledger.url, key, TABLE):
            _check_same(held, document)
        return Recorded(recorded.document_id, False)


def _check_same(held: Any, document: dict[str, Any]) -> None:
    if held is not None and held != as_json(document):
        raise EventRecorded("another event is recorded under this eventId; events are not changed: record a new one")
