"""Things and the relations between them, for functions that follow these from thing to thing."""

from strandline import Column, Revision, RowProjection, Rows
from strandline.projections.provenance.things import THINGS

# Each relation of PROV points to what came before: from the first of these to the second.
RELATIONS = {
    "Used": ("used", "activityId", "entityId"),
    "WasGeneratedBy": ("wasGeneratedBy", "entityId", "activityId"),
    "WasDerivedFrom": ("wasDerivedFrom", "generatedEntityId", "usedEntityId"),
    "WasAttributedTo": ("wasAttributedTo", "entityId", "agentId"),
}


def rows(revision: Revision) -> Rows:
    if revision.table in THINGS:
        yield {
            "thing": revision.required_text(THINGS[revision.table]),
            "kind": revision.table.lower(),
            "type": revision.text("type"),
            "label": revision.text("label"),
            "digest": revision.text("digest"),
            "location": revision.text("location"),
            "started_at": revision.moment("startedAt"),
            "ended_at": revision.moment("endedAt"),
        }
    else:
        relation, thing, source = RELATIONS[revision.table]
        yield {"thing": revision.required_text(thing), "relation": relation, "source": revision.required_text(source)}


PROJECTION = RowProjection(
    name="provenance_lineage",
    purpose="Data sets, models, activities and agents, and what comes from what: a row a thing, a row a relation.",
    tables=(*THINGS, *RELATIONS),
    keeps="current",
    readers="analysts",
    columns=(
        Column("thing", "text", "What the row speaks of."),
        Column("kind", "text", "entity, activity or agent; empty in a relation's row."),
        Column("relation", "text", "used, wasGeneratedBy, wasDerivedFrom or wasAttributedTo; empty in a thing's row."),
        Column("source", "text", "What the thing comes from by the relation; empty in a thing's row."),
        Column("type", "text", "The thing's type, such as DataSet, Model, Training."),
        Column("label", "text", "The thing's name for people."),
        Column("digest", "text", "Digest of an entity's content."),
        Column("location", "text", "Where an entity lies."),
        Column("started_at", "timestamptz", "When an activity began."),
        Column("ended_at", "timestamptz", "When an activity ended."),
    ),
    rows=rows,
    indexes=(("thing",), ("source",)),
)
