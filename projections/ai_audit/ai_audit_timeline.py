"""Timeline of AI events, and of what was done to them: restricted."""

from strandline import Column, Revision, RowProjection, Rows


def rows(revision: Revision) -> Rows:
    recorded = "recorded" if revision.version == 0 else "changed"
    yield {
        "event_id": revision.text("eventId"),
        "at": revision.moment("at"),
        "system": revision.text("system"),
        "model": revision.text("model"),
        "model_version": revision.text("version"),
        "actor": revision.text("actor"),
        "action": revision.text("action"),
        "outcome": revision.text("outcome"),
        "input_digest": revision.text("inputDigest"),
        "output_digest": revision.text("outputDigest"),
        "entry": recorded if revision.state == "normal" else revision.state,
        "recorded_at": revision.tx_time,
    }


PROJECTION = RowProjection(
    name="ai_audit_timeline",
    purpose="Who had what done by which AI system and model, when, and with what outcome, for audits.",
    tables=("AuditEvent",),
    keeps="history",
    readers="cleared",
    columns=(
        Column("event_id", "text", "The event; like all that follows from data, empty where erased."),
        Column("at", "timestamptz", "When it happened, as its recorder says."),
        Column("system", "text", "The AI system."),
        Column("model", "text", "The model that it used."),
        Column("model_version", "text", "The model's version."),
        Column("actor", "text", "Who had it done."),
        Column("action", "text", "What was done."),
        Column("outcome", "text", "What came of it."),
        Column("input_digest", "text", "Digest of what went in."),
        Column("output_digest", "text", "Digest of what came out."),
        Column("entry", "text", "recorded; or changed, deleted, redacted, which no recorder does: see alterations."),
        Column("recorded_at", "timestamptz", "When the journal got this entry."),
    ),
    rows=rows,
    indexes=(("event_id",), ("at",), ("entry",)),
    subjects=("AuditEvent.actor",),
)
