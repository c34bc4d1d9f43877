"""Contacts of the holders of licences: restricted."""

from strandline import Column, Revision, RowProjection, Rows


def rows(revision: Revision) -> Rows:
    yield {
        "licence_id": revision.required_text("licenceId"),
        "email": revision.text("email"),
        "mobile": revision.text("mobile"),
        "user_id": revision.text("userId"),
    }


PROJECTION = RowProjection(
    name="contact_directory",
    purpose="How to reach the holder of a licence, for those who must write to them.",
    tables=("Contact",),
    keeps="current",
    readers="cleared",
    columns=(
        Column("licence_id", "text", "The licence whose holder this is; two documents may claim one."),
        Column("email", "text", "E-mail address; empty where the ledger has none."),
        Column("mobile", "text", "Mobile number; empty where the ledger has none."),
        Column("user_id", "text", "Who wrote the current revision."),
    ),
    rows=rows,
    subjects=("Contact.licenceId", "Contact.email", "Contact.mobile"),
    indexes=(("licence_id",),),
)
