"""Endorsements to search and count by points and dates, in OpenSearch; nothing in it says whose they are."""

from strandline import Column, Revision, RowProjection, Rows
from strandline.projections.licensing.endorsements import NUMBER, NUMBER_NORMALIZER, points


def rows(revision: Revision) -> Rows:
    yield {
        "endorsement_id": revision.required_text("endorsementId"),
        "licence_id": revision.text("licenceId"),
        "points": points(revision),
        "issued_at": revision.moment("issueDtm"),
        "expires_at": revision.moment("expiryDtm"),
        "revised_at": revision.tx_time,
    }


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
    analysis={"normalizer": NUMBER_NORMALIZER},
)
