"""Data sets, models, activities and agents to search by name, type, place and digest, in OpenSearch."""

from strandline import Column, Revision, RowProjection, Rows
from strandline.projections.provenance.things import THINGS


def rows(revision: Revision) -> Rows:
    yield {
        "thing": revision.required_text(THINGS[revision.table]),
        "kind": revision.table.lower(),
        "type": revision.text("type"),
        "label": revision.text("label"),
        "digest": revision.text("digest"),
        "location": revision.text("location"),
        "recorded_at": revision.tx_time,
    }


PROJECTION = RowProjection(
    name="provenance_search",
    purpose="Data sets, models, activities and agents, to be found by their names, types, places and digests.",
    tables=tuple(THINGS),
    keeps="current",
    readers="analysts",
    store="opensearch",
    columns=(
        Column("thing", "text", "Its id."),
        Column("kind", "text", "entity, activity or agent."),
        Column("type", "text", "Its type, such as DataSet, Model, Training."),
        Column("label", "text", "Its name for people, by words.", mapping={"type": "text"}),
        Column("digest", "text", "Digest of an entity's content."),
        Column("location", "text", "Where an entity lies."),
        Column("recorded_at", "timestamptz", "When the current revision was written."),
    ),
    rows=rows,
)
