"""A process that writes to a ledger until it is killed: `python -m tests.ledger.writer URL NAME [COUNT]`."""

import sys
from contextlib import suppress

from strandline.ledger import Ledger, Transaction
from strandline.ledger.errors import NothingToRedact
from strandline.ledger.redaction import redact_revision


def write(url: str, name: str, count: int) -> None:
    """Send `count` requests: each inserts a document, changes the one before, and may redact its old revision."""
    with Ledger(url) as ledger:
        before: str | None = None
        for number in range(count):

            def work(txn: Transaction, number: int = number, before: str | None = before) -> str:
                if before is not None:
                    txn.update("Licence", before, {"status": "old"})
                return txn.insert("Licence", {"licenceId": f"{name}/{number}", "status": "new"})

            changed, before = before, ledger.execute(work, request_id=f"{name}/{number}", retries=50)
            if changed is not None and number % 10 == 9:
                with suppress(NothingToRedact):  # done before a kill
                    redact_revision(ledger, changed, 0)


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], int(sys.argv[3]))
