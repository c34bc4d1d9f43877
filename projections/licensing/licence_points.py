"""The points on a licence: its endorsements, found through their mappings."""

from collections.abc import Iterable
from datetime import UTC, datetime

from strandline import (
    Column,
    ComposedProjection,
    Computed,
    KeyLookup,
    Lookup,
    Revision,
    Rows,
    Unprojectable,
)

_IN_FORCE = "issued_at <= now() AND expires_at > now()"
_COUNTED = f"CASE WHEN {_IN_FORCE} THEN points WHEN NOT ({_IN_FORCE}) THEN 0 END"
_LICENCE = "(PARTITION BY licence_id)"


def keys(revision: Revision) -> Iterable[str | KeyLookup]:
    if revision.table == "Endorsement":
        yield KeyLookup("Mapping", "endorsementId", _text(revision, "endorsementId"))
    else:
        yield _text(revision, "licenceId")


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
                "points": _points(endorsement.field("points")),
                "issued_at": _moment(endorsement.text("issueDtm")),
                "expires_at": _moment(endorsement.text("expiryDtm")),
            }


def _text(revision: Revision, field: str) -> str:
    text = revision.text(field)
    if text is None:
        raise Unprojectable(f"{field} is missing or not text")
    return text


def _points(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1_000_000:
        return value
    return None


def _moment(text: str | None) -> datetime | None:
    """A moment, or the day's beginning in UTC."""
    try:
        moment = datetime.fromisoformat(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


PROJECTION = ComposedProjection(
    name="licence_points",
    purpose="Which endorsements a licence has, with their points, and how many points are in force now.",
    lookups={
        "Licence": ("licenceId",),
        "Mapping": ("licenceId", "endorsementId"),
        "Endorsement": ("endorsementId",),
    },
    readers="analysts",
    columns=(
        Column("licence_id", "text", "The licence's number."),
        Column("endorsement_document", "text", "Document of the endorsement."),
        Column("endorsement_id", "text", "The endorsement's number; two documents may claim one."),
        Column("points", "integer", "Its points; empty where the ledger has no number."),
        Column("issued_at", "timestamptz", "When it was issued; empty where the ledger has no date."),
        Column("expires_at", "timestamptz", "When it ends; empty where the ledger has no date."),
    ),
    keys=keys,
    compose=compose,
    key=("endorsement_document",),
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
