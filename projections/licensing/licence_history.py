"""Every revision of a licence, for investigations: restricted."""

from strandline import Column, Revision, RowProjection, Rows


def rows(revision: Revision) -> Rows:
    yield {
        "licence_id": revision.text("licenceId"),
        "revised_at": revision.tx_time,
        "transaction_id": revision.tx_id,
        "state": revision.state,
        "status": revision.text("status"),
        "contact_id": revision.text("contactId"),
        "first_name": revision.text("firstName"),
        "last_name": revision.text("lastName"),
        "street": revision.text("street"),
        "county": revision.text("county"),
        "postcode": revision.text("postcode"),
        "user_id": revision.text("userId"),
        "events": revision.field("events"),
    }


PROJECTION = RowProjection(
    name="licence_history",
    purpose="Every revision of a licence, with its time, transaction and state, for investigations and audits.",
    tables=("Licence",),
    keeps="history",
    readers="cleared",
    columns=(
        Column("licence_id", "text", "The licence's number; like all that follows from data, empty where erased."),
        Column("revised_at", "timestamptz", "When the revision was written."),
        Column("transaction_id", "text", "The transaction that wrote it."),
        Column("state", "text", "normal, redacted, or deleted: the revision that ended the document."),
        Column("status", "text", "The licence's status."),
        Column("contact_id", "text", "Document of the holder's contact."),
        Column("first_name", "text", "The holder's first name."),
        Column("last_name", "text", "The holder's last name."),
        Column("street", "text", "Street of the holder's address."),
        Column("county", "text", "County of the holder's address."),
        Column("postcode", "text", "Postcode of the holder's address."),
        Column("user_id", "text", "Who wrote the revision."),
        Column("events", "jsonb", "What happened to the licence, as the application noted it."),
    ),
    rows=rows,
    indexes=(("licence_id",),),
    subjects=("Licence.licenceId",),
)
