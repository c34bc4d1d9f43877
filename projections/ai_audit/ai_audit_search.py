"""Events of AI systems to search and count, in OpenSearch; nothing in it says who had them done."""

from strandline import Column, Revision, RowProjection, Rows


def rows(revision: Revision) -> Rows:
    yield {
        "event_id": revision.text("eventId"),
        "at": revision.moment("at"),
        "system": revision.text("system"),
        "model": revision.text("model"),
        "model_version": revision.text("version"),
        "action": revision.text("action"),
        "outcome": revision.text("outcome"),
        "altered": revision.version > 0,
    }


PROJECTION = RowProjection(
    name="ai_audit_search",
    purpose="What AI systems did, by system, model, action, outcome and time, for search; without actors.",
    tables=("AuditEvent",),
    keeps="current",
    readers="analysts",
    store="opensearch",
    columns=(
        Column("event_id", "text", "The event."),
        Column("at", "timestamptz", "When it happened; empty where the ledger has no full timestamp."),
        Column("system", "text", "The AI system."),
        Column("model", "text", "The model that it used."),
        Column("model_version", "text", "The model's version."),
        Column("action", "text", "What was done."),
        Column("outcome", "text", "What came of it."),
        Column("altered", "boolean", "Whether the event is no longer what was first recorded."),
    ),
    rows=rows,
)
