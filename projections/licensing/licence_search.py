"""Licences to search by number, status, county and endorsements, in OpenSearch; nothing in it says whose they are."""

from datetime import datetime

from strandline import Column, ComposedProjection, Lookup, Revision, Rows
from strandline.projections.licensing.endorsements import (
    LOOKUPS,
    NUMBER,
    NUMBER_NORMALIZER,
    licence_keys,
    moment,
    points,
)


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
        "points": points(revision),
        "issued_at": _iso(moment(revision, "issueDtm")),
        "expires_at": _iso(moment(revision, "expiryDtm")),
    }


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


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
    lookups=LOOKUPS,
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
    keys=licence_keys,
    compose=compose,
    key=("licence_document",),
    fields=("status", "county", "points", "issueDtm", "expiryDtm"),
    analysis={
        "normalizer": NUMBER_NORMALIZER,
        "analyzer": {"name": {"type": "custom", "tokenizer": "standard", "filter": ["lowercase", "asciifolding"]}},
    },
)
