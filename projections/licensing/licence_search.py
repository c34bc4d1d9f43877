"""Licences to search by number, status, county and endorsements, in OpenSearch; nothing in it says whose they are.

What it shares with other projections stands here as well: this file is the definition.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from strandline import (
    Column,
    ComposedProjection,
    KeyLookup,
    Lookup,
    Revision,
    Rows,
    Unprojectable,
)

_MOST = 2**31


def keys(revision: Revision) -> Iterable[str | KeyLookup]:
    if revision.table == "Endorsement":
        yield KeyLookup("Mapping", "endorsementId", _text(revision, "endorsementId"))
    else:
        yield _text(revision, "licenceId")


def compose(licence_id: str, lookup: Lookup) -> Rows:
    licences = lookup("Licence", "licenceId", licence_id)
    mappings = lookup("Mapping", "licenceId", licence_id)
    if not licences:
        return
    numbers = {mapping.text("endorsementId"): None for mapping in mappings}
    endorsements = [_endorsement(one) for number in numbers for one in lookup("Endorsement", "endorsementId", number)]
    for licence in licences:
        yield {
            "licence_document": licence.document_id,
            "licence_id": licence_id,
            "status": licence.text("status"),
            "county": licence.text("county"),
            "endorsements": endorsements,
        }


def _endorsement(revision: Revision) -> dict[str, object]:
    return {
        "endorsement_id": revision.text("endorsementId"),
        "points": _points(revision.field("points")),
        "issued_at": _moment(revision.text("issueDtm")),
        "expires_at": _moment(revision.text("expiryDtm")),
    }


def _text(revision: Revision, field: str) -> str:
    text = revision.text(field)
    if text is None:
        raise Unprojectable(f"{field} is missing or not text")
    return text


def _points(value: object) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST
    return value if fits and isinstance(value, int) else None


def _moment(text: str | None) -> str | None:
    """A moment, or the day's beginning, in UTC; whatever is no date is none, for the index would refuse it."""
    try:
        moment = datetime.fromisoformat(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return None


# Numbers are typed in by people: in either case, with spaces around them.
NUMBER = {"type": "keyword", "normalizer": "number", "ignore_above": 1024}
# A county is found by one of its words, and counted as a whole.
COUNTY = {
    "type": "text",
    "analyzer": "name",
    "fields": {"whole": {"type": "keyword", "normalizer": "number", "ignore_above": 1024}},
}
ENDORSEMENTS = {
    "type": "nested",
    "dynamic": "strict",
    "properties": {
        "endorsement_id": NUMBER,
        "points": {"type": "integer"},
        "issued_at": {"type": "date", "format": "strict_date_optional_time"},
        "expires_at": {"type": "date", "format": "strict_date_optional_time"},
    },
}

PROJECTION = ComposedProjection(
    name="licence_search",
    purpose="Licences by number, status, county and endorsements, for search and statistics; without persons.",
    lookups={
        "Licence": ("licenceId",),
        "Mapping": ("licenceId", "endorsementId"),
        "Endorsement": ("endorsementId",),
    },
    readers="analysts",
    store="opensearch",
    columns=(
        Column("licence_document", "text", "Document of the licence; two may claim one number."),
        Column("licence_id", "text", "The licence's number.", mapping=NUMBER),
        Column("status", "text", "The licence's status; empty where the ledger has none."),
        Column("county", "text", "County of the holder's address; empty where the ledger has none.", mapping=COUNTY),
        Column(
            "endorsements",
            "jsonb",
            "What stands in the licence: number, points, from when and until when; empty where the ledger has no such "
            "number or date.",
            mapping=ENDORSEMENTS,
        ),
    ),
    keys=keys,
    compose=compose,
    key=("licence_document",),
    fields=("status", "county", "points", "issueDtm", "expiryDtm"),
    analysis={
        "normalizer": {"number": {"type": "custom", "filter": ["trim", "lowercase"]}},
        "analyzer": {"name": {"type": "custom", "tokenizer": "standard", "filter": ["lowercase", "asciifolding"]}},
    },
)
