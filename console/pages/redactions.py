"""Redactions and receipts: what was erased, what keeps one open, what to hand to the person or the auditor."""

import json
from dataclasses import asdict
from typing import Any

from strandline.console import audit
from strandline.console.page import Asked, Missing, Page
from strandline.consumer.erasure.quotations import find_quotations
from strandline.consumer.erasure.receipt_chain import FIRST_PREVIOUS, read_head, read_receipts
from strandline.consumer.erasure.receipt_check import check_receipts
from strandline.consumer.erasure.subjects import find_subject, identifier_fields
from strandline.consumer.store.redactions import IS_HIDDEN, IS_IN_EFFECT, REDACTING_ABOVE

ROWS = 100

READ_PENDING = f"""
    SELECT named ->> 'documentId', (named ->> 'version')::bigint, above.sequence_no
    FROM ({REDACTING_ABOVE}) AS above, jsonb_array_elements(above.redactions) AS named
    ORDER BY above.sequence_no LIMIT %s"""
READ_REGISTER = f"""
    SELECT d.document_id, d.version, d.sequence_no, d.redacted_by, d.registered_at, d.imported, d.found,
           CASE WHEN NOT {IS_IN_EFFECT} THEN 'pending' WHEN {IS_HIDDEN} THEN 'done' ELSE 'open' END,
           extract(epoch FROM now() - d.registered_at)::float8,
           ARRAY(SELECT r.store || ' ' || r.level || ' ' || r.number FROM projection.receipt r
                 WHERE r.document_id = d.document_id AND r.version = d.version ORDER BY r.number),
           ARRAY(SELECT g.projection || CASE g.state WHEN 'live' THEN '' ELSE ', generation ' || g.generation END
                 FROM projection.generation g WHERE g.clean_no < d.effective_no ORDER BY 1)
    FROM journal.redaction d, journal.mark m
    WHERE (%(open)s IS FALSE OR NOT {IS_HIDDEN})
      AND (%(block)s::bigint IS NULL
           OR (d.redacted_by, d.document_id, d.version) < (%(block)s, %(document)s::text, %(version)s::bigint))
    ORDER BY d.redacted_by DESC, d.document_id DESC, d.version DESC LIMIT %(limit)s"""
READ_RECEIPT = "SELECT number, body, encode(hash, 'hex') FROM projection.receipt WHERE number = %s"
READ_NUMBERS = """
    SELECT number, document_id, version, store, level FROM projection.receipt
    WHERE (%(below)s::bigint IS NULL OR number < %(below)s) ORDER BY number DESC LIMIT %(limit)s"""


def redactions(asked: Asked) -> Page:
    return _page(asked)


def find(asked: Asked) -> Page:
    """Find a person's documents by a declared field, and the statements that quote the value.

    The value is neither logged nor repeated.
    """
    asked.require("cleared")
    name = asked.form.get("field", "")
    console = asked.console
    fields = identifier_fields(console.projections.values(), console.settings.subject_fields)
    audit.record(asked, "find subject", detail=name if name in fields else "a field that is not declared")
    with console.auditor() as connection:
        versions = find_subject(connection, fields, name, asked.form.get("value", ""))
        quotations = find_quotations(connection, asked.form.get("value", ""))
    statements = [asdict(one) for one in quotations]
    return _page(asked, {"field": name, "versions": [asdict(one) for one in versions], "statements": statements})


def receipts(asked: Asked) -> Page:
    """All receipts, the newest first."""
    return _receipts_page(asked, None)


def check(asked: Asked) -> Page:
    """Check the chain of receipts, and search every store for what they call erased."""
    console = asked.console
    audit.record(asked, "check receipts")
    with console.auditor() as connection:
        checked = check_receipts(connection, console.projections, console.stores)
    return _receipts_page(asked, checked.as_dict())


def receipt(asked: Asked) -> Page:
    text = asked.path["number"]
    with asked.console.status() as connection, connection.transaction():
        known = text.isdecimal() and len(text) < 18
        row = connection.execute(READ_RECEIPT, [int(text)]).fetchone() if known else None
        head = read_head(connection)
    if row is None:
        raise Missing("There is no receipt of this number.")
    content = json.loads(row[1])
    data = {**content, "hash": row[2]}
    first = content["previous"] == FIRST_PREVIOUS.hex()
    return Page("receipt.html", data, {"body": row[1], "first": first, "head": head, "number": row[0]})


def document_receipts(asked: Asked) -> Page:
    """The receipts of one document, to print."""
    id_ = asked.path["document"]
    with asked.console.status() as connection:
        issued = [one.as_dict() for one in read_receipts(connection, id_)]
        with connection.transaction():
            head = read_head(connection)
            known = connection.execute("SELECT FROM journal.document WHERE document_id = %s", [id_]).rowcount
    if not issued and not known:
        raise Missing("No document has this id, and no receipt names it.")
    return Page("document_receipts.html", {"receipts": issued}, {"id": id_, "head": head})


def _page(asked: Asked, subject: dict[str, Any] | None = None) -> Page:
    only_open = asked.query.get("state") == "open"
    place = asked.query.get("below", "").split(":")
    at: dict[str, Any] = {"block": None, "document": None, "version": None}
    if len(place) == 3 and place[0].isdecimal() and place[2].isdecimal():
        at = {"block": int(place[0][:17]), "document": place[1], "version": int(place[2][:17])}
    with asked.console.status() as connection, connection.transaction():
        pending = connection.execute(READ_PENDING, [ROWS]).fetchall()
        rows = connection.execute(READ_REGISTER, {**at, "open": only_open, "limit": ROWS}).fetchall()
    names = (
        "document", "version", "block", "redacted_by", "registered_at", "imported", "found", "state", "age_seconds",
        "receipts", "kept_open_by",
    )  # fmt: skip
    listed = [dict(zip(names, row, strict=True)) for row in rows]
    for one in listed:
        one["registered_at"] = one["registered_at"].isoformat()
        one["receipts"] = [
            dict(zip(("store", "level", "receipt"), each.split(" "), strict=True)) for each in one["receipts"]
        ]
        if one["state"] == "done":
            one["kept_open_by"] = []
    last = listed[-1] if len(listed) == ROWS else None
    below = None if last is None else f"{last['redacted_by']}:{last['document']}:{last['version']}"
    waiting = [dict(zip(("document", "version", "redacted_by"), row, strict=True)) for row in pending]
    console = asked.console
    fields = identifier_fields(console.projections.values(), console.settings.subject_fields)
    data = {"pending": waiting, "redactions": listed, "below": below, "subject": subject}
    return Page("redactions.html", data, {"only_open": only_open, "fields": list(fields), "subject": subject})


def _receipts_page(asked: Asked, checked: dict[str, Any] | None) -> Page:
    with asked.console.status() as connection:
        if asked.as_json:
            issued = [one.as_dict() for one in read_receipts(connection)]
            data: dict[str, Any] = {"receipts": issued}
            return Page("receipts.html", data if checked is None else {**data, "verified": checked})
        below = asked.query.get("below", "")
        number = int(below) if below.isdecimal() and len(below) < 18 else None
        with connection.transaction():
            rows = connection.execute(READ_NUMBERS, {"below": number, "limit": ROWS}).fetchall()
            head = read_head(connection)
    next_below = rows[-1][0] if len(rows) == ROWS else None
    return Page("receipts.html", {}, {"rows": rows, "head": head, "below": next_below, "checked": checked})
