"""A lineage as W3C's PROV-JSON (member submission, 2013). Needs the extra `provenance`."""

from typing import Any

from prov.model import ProvDocument, QualifiedName

from strandline.ledger.provenance.lineage import Lineage, Thing

NAMESPACE = "urn:strandline:provenance:"


def prov_json(lineage: Lineage) -> str:
    """Return the lineage as PROV-JSON, indented."""
    document = ProvDocument()
    space = document.add_namespace("ledger", NAMESPACE)
    ids = {name: space[name] for name in _ids(lineage)}
    for name in sorted(lineage.things):
        _add_thing(document, ids[name], lineage.things[name])
    add: dict[str, Any] = {
        "used": document.used,
        "wasGeneratedBy": document.wasGeneratedBy,
        "wasDerivedFrom": document.wasDerivedFrom,
        "wasAttributedTo": document.wasAttributedTo,
    }
    for one in sorted(lineage.relations, key=lambda one: (one.relation, one.thing, one.source)):
        add[one.relation](ids[one.thing], ids[one.source])
    return str(document.serialize(format="json", indent=2))


def _ids(lineage: Lineage) -> set[str]:
    return {lineage.start, *(name for one in lineage.relations for name in (one.thing, one.source))}


def _add_thing(document: ProvDocument, name: QualifiedName, thing: Thing) -> None:
    fields = {"prov:type": thing.type, "prov:label": thing.label, "prov:location": thing.location}
    fields |= {"ledger:digest": thing.digest}
    attributes = {key: value for key, value in fields.items() if value is not None}
    if thing.kind == "activity":
        document.activity(name, thing.started_at, thing.ended_at, attributes)
    elif thing.kind == "agent":
        document.agent(name, attributes)
    else:
        document.entity(name, attributes)
