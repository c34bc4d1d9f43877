"""The audit: who saw or did what. It holds no values."""

from strandline.console.audit import read_audit
from strandline.console.page import Asked, Page

ROWS = 100


def seen(asked: Asked) -> Page:
    text, document = asked.query.get("before", ""), asked.query.get("document") or None
    before = int(text) if text.isdecimal() and len(text) < 18 else None
    with asked.console.status() as connection:
        found = read_audit(connection, ROWS, before, document)
    next_before = found[-1].id if len(found) == ROWS else None
    return Page(
        "seen.html",
        {"entries": [one.as_dict() for one in found], "before": next_before},
        {"found": found, "before": next_before, "document": document},
    )
