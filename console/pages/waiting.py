"""Pages of work that waits for somebody: parked documents, rejected records, gaps."""

from typing import Any

from strandline.console import audit
from strandline.console.page import Asked, Page
from strandline.consumer.generations.state import ParkedDocument, parked
from strandline.consumer.mark.gaps import accept_gap, gaps
from strandline.consumer.store import rejected
from strandline.journal.errors import UsageError

LIMIT = 1_000  # as `rejected --json` lists
HIDDEN_KEY = "(hidden: a composed key may be personal data)"


def waiting(asked: Asked) -> Page:
    return _page(asked)


def acknowledge(asked: Asked) -> Page:
    """Mark every rejected record as dealt with."""
    asked.require("operator")
    audit.record(asked, "acknowledge rejected")
    with asked.console.worker() as connection:
        number = rejected.acknowledge(connection)
    return _page(asked, f"Acknowledged {number:,} rejected items.")


def skip_gap(asked: Asked) -> Page:
    """Accept that blocks are permanently lost: for a reason, with the numbers typed again."""
    asked.require("operator")
    first, last = _number(asked, "first"), _number(asked, "last")
    if (_number(asked, "first_again"), _number(asked, "last_again")) != (first, last):
        raise UsageError(f"Type the blocks {first:,} and {last:,} again: once skipped, they stay skipped.")
    reason = asked.form.get("reason", "").strip()
    if not reason:
        raise UsageError("Say why these blocks are lost, for the auditor. No personal data.")
    audit.record(asked, "accept gap", detail=f"blocks {first} to {last}")
    with asked.console.worker() as connection:
        mark = accept_gap(connection, first, last, reason)
    return _page(asked, f"Accepted the gap; the mark is at block {mark.sequence_no:,}.")


def _page(asked: Asked, said: str | None = None) -> Page:
    with asked.console.auditor() as connection:
        with connection.transaction():
            documents = parked(connection)
        reasons = rejected.read_reasons(connection)
        records = rejected.read_rejected(connection, LIMIT)
        missing = gaps(connection)
    data = {
        "parked": [_parked_json(asked, one) for one in documents],
        "rejected": sum(one.number for one in reasons),
        "reasons": [one.as_dict() for one in reasons],
        "records": [one.as_dict() for one in records],
        "gaps": missing,
    }
    shown = [one.live and (not one.is_composed or asked.may("cleared")) for one in documents]
    return Page("waiting.html", data, {"said": said, "reasons": reasons, "records": records, "retriable": shown})


def _parked_json(asked: Asked, one: ParkedDocument) -> dict[str, Any]:
    found = one.as_dict()
    if one.is_composed and not asked.may("cleared"):
        found["document"] = HIDDEN_KEY
    return found


def _number(asked: Asked, name: str) -> int:
    text = asked.form.get(name, "").strip().replace(",", "")
    if not text.isdecimal() or len(text) > 17:
        raise UsageError("Type the numbers of the first and the last block that are lost, twice.")
    return int(text)
