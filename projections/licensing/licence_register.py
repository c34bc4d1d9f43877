"""The public register of licences: one row a licence document, without names or addresses."""

from strandline import Column, Revision, RowProjection, Rows


def rows(revision: Revision) -> Rows:
    yield {
        "licence_id": revision.required_text("licenceId"),
        "status": revision.text("status"),
        "county": revision.text("county"),
        "revised_at": revision.tx_time,
    }


PROJECTION = RowProjection(
    name="licence_register",
    purpose="Which licences there are, their status and county, for statistics and public enquiries.",
    tables=("Licence",),
    keeps="current",
    readers="analysts",
    columns=(
        Column("licence_id", "text", "The licence's number; two documents may claim one."),
        Column("status", "text", "The licence's status; empty where the ledger has none."),
        Column("county", "text", "County of the holder's address; empty where the ledger has none."),
        Column("revised_at", "timestamptz", "When the current revision was written."),
    ),
    rows=rows,
    fields=("licenceId", "status", "county"),
    indexes=(("licence_id",),),
)
