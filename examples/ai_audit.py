"""Audit events of AI systems, by QLDB's driver for Python: each recorded once, none changed unseen.

An event has digests of input and output, never these themselves. python ai_audit.py LEDGER prints the trail as JSON.
"""

import hashlib
import json
import sys
from typing import Any

from pyqldb.driver.qldb_driver import QldbDriver


class Recorded(Exception):
    """Another event has this id."""


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def event(event_id: str, actor: str, model: str, outcome: str, given: str, made: str) -> dict[str, str]:
    return {
        "eventId": event_id, "actor": actor, "model": model, "outcome": outcome,
        "inputDigest": digest(given), "outputDigest": digest(made),
    }  # fmt: skip


class Audit:
    def __init__(self, driver: QldbDriver) -> None:
        self._driver = driver

    def create(self) -> None:
        self._run("CREATE TABLE AuditEvent")
        for field in ("eventId", "actor"):
            self._run(f"CREATE INDEX ON AuditEvent ({field})")

    def record(self, new: dict[str, str]) -> bool:
        """Record an event; False if it is there already. Raises Recorded if another has its id."""

        def work(txn: Any) -> bool:
            found = list(txn.execute_statement("SELECT e.* FROM AuditEvent AS e WHERE e.eventId = ?", new["eventId"]))
            if not found:
                txn.execute_statement("INSERT INTO AuditEvent ?", new)
            elif dict(found[0]) != new:
                raise Recorded(new["eventId"])
            return not found

        return bool(self._driver.execute_lambda(work))

    def of(self, actor: str) -> list[str]:
        """Return an actor's events in the order of the journal."""
        columns = "c.data.eventId, c.blockAddress.sequenceNo"
        rows = self._run(f"SELECT {columns} FROM _ql_committed_AuditEvent AS c WHERE c.data.actor = ?", actor)
        return [row["eventId"] for row in sorted(rows, key=lambda row: row["sequenceNo"])]

    def changed(self) -> list[str]:
        """Return the events that somebody changed or deleted after they were recorded."""
        rows = self._run("SELECT VALUE h.metadata.id FROM history(AuditEvent) AS h WHERE h.metadata.version > 0")
        history = "SELECT VALUE h.data.eventId FROM history(AuditEvent) AS h"
        first = f"{history} WHERE h.metadata.id = ? AND h.metadata.version = 0"
        return sorted(self._run(first, id_)[0] for id_ in {str(row) for row in rows})

    def _run(self, text: str, *parameters: Any) -> list[Any]:
        return list(self._driver.execute_lambda(lambda txn: txn.execute_statement(text, *parameters)))


def main(ledger: str) -> dict[str, Any]:
    with QldbDriver(ledger) as driver:
        audit = Audit(driver)
        audit.create()
        events = [
            event("E-1", "clerk-7", "sorter/2", "accepted", "letter one", "to archive"),
            event("E-2", "clerk-7", "sorter/2", "overruled", "letter two", "to archive"),
            event("E-3", "clerk-9", "sorter/2", "accepted", "letter three", "to post"),
        ]
        recorded = [audit.record(one) for one in (*events, events[0])]
        try:
            audit.record({**events[0], "outcome": "overruled"})
            refused = False
        except Recorded:
            refused = True
        before = audit.changed()
        change = "UPDATE AuditEvent SET outcome = 'accepted' WHERE eventId = 'E-2'"  # not by the class above
        driver.execute_lambda(lambda txn: txn.execute_statement(change))
        return {
            "recorded": recorded, "refused": refused, "trail": audit.of("clerk-7"),
            "changed": [before, audit.changed()],
        }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
