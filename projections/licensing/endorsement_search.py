"""Endorsements to search and count by points and dates, in OpenSearch; nothing in it says whose they are."""

from datetime import datetime

from strandline import Column, Revision, RowProjection, Rows, Unprojectable


def rows(revision: Revision) -> Rows:
    endorsement_id = revision.text("endorsementId")
    if endorsement_id is None:
        raise Unprojectable("endorsementId is missing or not text")
    yield {
        "endorsement_id": endorsement_id,
        "licence_id": revision.text("licenceId"),
        "points": points(revision.field("points")),
        "issued_at": moment(revision.text("issueDtm")),
        "expires_at": moment(revision.text("expiryDtm")),
        "revised_at": revision.tx_time,
    }


def points(value: object) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if fits and isinstance(value, int) else None


def moment(text: str | None) -> datetime | None:
    """Ion's timestamps come as text; one without an offset, or no timestamp at all, is none."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found if found and found.tzinfo else None


# Numbers are typed in by people: in either case, with spaces around them.
NUMBER = {"type": "keyword", "normalizer": "number", "ignore_above": 1024}

PROJECTION = RowProjection(
    name="endorsement_search",
    purpose="Endorsements by licence number, points and dates, for search and statistics; without persons.",
    tables=("Endorsement",),
    keeps="current",
    readers="analysts",
    store="opensearch",
    columns=(
        Column("endorsement_id", "text", "The endorsement's number.", mapping=NUMBER),
        Column("licence_id", "text", "The licence that it stands in; empty where the ledger has none.", mapping=NUMBER),
        Column("points", "integer", "Penalty points; empty where the ledger has no whole number."),
        Column("issued_at", "timestamptz", "When it was issued; empty where the ledger has no full timestamp."),
        Column("expires_at", "timestamptz", "When it ends; empty where the ledger has no full timestamp."),
        Column("revised_at", "timestamptz", "When the current revision was written."),
    ),
    rows=rows,
    analysis={"normalizer": {"number": {"type": "custom", "filter": ["trim", "lowercase"]}}},
)
