"""Endorsements, as the read models of licences find and read them."""

from collections.abc import Iterable
from datetime import UTC, datetime

from strandline import KeyLookup, Revision

# An endorsement does not name its licence: a mapping names both.
LOOKUPS = {
    "Licence": ("licenceId",),
    "Mapping": ("licenceId", "endorsementId"),
    "Endorsement": ("endorsementId",),
}
# The mapping of a number in OpenSearch. Numbers are typed in by people: in either case, with spaces around them.
NUMBER = {"type": "keyword", "normalizer": "number", "ignore_above": 1024}
NUMBER_NORMALIZER = {"number": {"type": "custom", "filter": ["trim", "lowercase"]}}


def licence_keys(revision: Revision) -> Iterable[str | KeyLookup]:
    """Yield the number of the licence that a document belongs to."""
    if revision.table == "Endorsement":
        yield KeyLookup("Mapping", "endorsementId", revision.required_text("endorsementId"))
    else:
        yield revision.required_text("licenceId")


def points(revision: Revision) -> int | None:
    """Return the penalty points; None if the ledger has no whole number that a column takes."""
    value = revision.field("points")
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def moment(revision: Revision, field: str) -> datetime | None:
    """Return a moment, or the beginning of a day, in UTC; None if the field is no date."""
    try:
        found = datetime.fromisoformat(revision.text(field) or "")
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
