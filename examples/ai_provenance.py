"""Provenance of AI data, by QLDB's driver for Python: which data trained which model, and what it made.

The ledger has digests, never the data. A source is named by document id and version, so it stays the same source when
the document changes later. python ai_provenance.py LEDGER prints a lineage as JSON.
"""

import hashlib
import json
import sys
from typing import Any

from pyqldb.driver.qldb_driver import QldbDriver

TABLE = "Artefact"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def create(driver: QldbDriver) -> None:
    driver.execute_lambda(lambda txn: txn.execute_statement(f"CREATE TABLE {TABLE}"))
    driver.execute_lambda(lambda txn: txn.execute_statement(f"CREATE INDEX ON {TABLE} (name)"))


def record(driver: QldbDriver, kind: str, name: str, content: bytes, made_from: tuple[str, ...] = ()) -> None:
    """Record a new artefact, or the next version of one, with the current versions of what it was made from."""

    def work(txn: Any) -> None:
        sources = [current(txn, source) for source in made_from]
        artefact = {"name": name, "kind": kind, "digest": digest(content), "sources": sources}
        if list(txn.execute_statement(f"SELECT name FROM {TABLE} WHERE name = ?", name)):
            txn.execute_statement(f"UPDATE {TABLE} AS a SET a = ? WHERE a.name = ?", artefact, name)
        else:
            txn.execute_statement(f"INSERT INTO {TABLE} ?", artefact)

    driver.execute_lambda(work)


def current(txn: Any, name: str) -> dict[str, Any]:
    query = f"SELECT c.metadata.id, c.metadata.version FROM _ql_committed_{TABLE} AS c WHERE c.data.name = ?"
    (row,) = txn.execute_statement(query, name)
    return {"documentId": row["id"], "version": row["version"]}


def lineage(driver: QldbDriver, name: str) -> list[str]:
    """Return everything that an artefact goes back to, as it was then: `kind name digest`."""

    def work(txn: Any) -> list[str]:
        found: dict[tuple[str, int], str] = {}
        waiting = [current(txn, name)]
        while waiting:
            source = waiting.pop()
            key = (str(source["documentId"]), int(source["version"]))
            if key in found:
                continue
            query = f"SELECT VALUE h.data FROM history({TABLE}) AS h WHERE h.metadata.id = ? AND h.metadata.version = ?"
            (data,) = txn.execute_statement(query, *key)
            found[key] = f"{data['kind']} {data['name']} {data['digest'][:15]}"
            waiting += data["sources"]
        return sorted(found.values())

    return list(driver.execute_lambda(work))


def main(ledger: str) -> dict[str, Any]:
    with QldbDriver(ledger) as driver:
        create(driver)
        record(driver, "dataset", "letters", b"first collection")
        record(driver, "dataset", "labels", b"made by hand")
        record(driver, "model", "sorter", b"weights", ("letters", "labels"))
        record(driver, "output", "answer-1", b"an answer", ("sorter",))
        record(driver, "dataset", "letters", b"second collection")  # the model was not trained on this one
        return {"lineage": lineage(driver, "answer-1"), "letters": [digest(b"first collection")[:15]]}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
