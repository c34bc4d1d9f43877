"""The points on a licence: its endorsements, found through their mappings."""

from strandline import Column, ComposedProjection, Computed, Lookup, Rows
from strandline.projections.licensing.endorsements import LOOKUPS, licence_keys, moment, points

_IN_FORCE = "issued_at <= now() AND expires_at > now()"
_COUNTED = f"CASE WHEN {_IN_FORCE} THEN points WHEN NOT ({_IN_FORCE}) THEN 0 END"
_LICENCE = "(PARTITION BY licence_id)"


def compose(licence_id: str, lookup: Lookup) -> Rows:
    if not lookup("Licence", "licenceId", licence_id):
        return
    mappings = lookup("Mapping", "licenceId", licence_id)
    endorsement_ids = {mapping.text("endorsementId"): None for mapping in mappings}
    for endorsement_id in endorsement_ids:
        for endorsement in lookup("Endorsement", "endorsementId", endorsement_id):
            yield {
                "licence_id": licence_id,
                "endorsement_document": endorsement.document_id,
                "endorsement_id": endorsement_id,
                "points": points(endorsement),
                "issued_at": moment(endorsement, "issueDtm"),
                "expires_at": moment(endorsement, "expiryDtm"),
            }


PROJECTION = ComposedProjection(
    name="licence_points",
    purpose="Which endorsements a licence has, with their points, and how many points are in force now.",
    lookups=LOOKUPS,
    readers="analysts",
    columns=(
        Column("licence_id", "text", "The licence's number."),
        Column("endorsement_document", "text", "Document of the endorsement."),
        Column("endorsement_id", "text", "The endorsement's number; two documents may claim one."),
        Column("points", "integer", "Its points; empty where the ledger has no number."),
        Column("issued_at", "timestamptz", "When it was issued; empty where the ledger has no date."),
        Column("expires_at", "timestamptz", "When it ends; empty where the ledger has no date."),
    ),
    keys=licence_keys,
    compose=compose,
    key=("endorsement_document",),
    fields=("points", "issueDtm", "expiryDtm"),
    indexes=(("licence_id",),),
    computed=(
        Computed("in_force", _IN_FORCE, "Whether it is in force at the time of asking; empty where a date is."),
        Computed(
            "points_in_force",
            f"CASE WHEN count(*) OVER {_LICENCE} = count({_COUNTED}) OVER {_LICENCE}"
            f" THEN sum({_COUNTED}) OVER {_LICENCE} END",
            "Points of all the licence's endorsements in force at the time of asking; empty where that cannot be told.",
        ),
    ),
)
