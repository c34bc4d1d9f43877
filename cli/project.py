"""The command `project`."""

from strandline.cli.options import AsJson
from strandline.cli.output import complain, say, show_json
from strandline.cli.progress import meter
from strandline.cli.session import discover_projections, open_store
from strandline.cli.status import say_projections


def project(as_json: AsJson = False) -> int:
    """Bring every read model up to the mark.

    A worker does this continuously. Without one, run it after writing to the ledger.
    """
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.purge import hide
    from strandline.consumer.erasure.subjects import index_subjects
    from strandline.consumer.generations.hints import find_hints
    from strandline.consumer.generations.state import statuses
    from strandline.consumer.generations.stores import open_stores

    projections = discover_projections()
    with open_store() as (settings, url):
        stores = open_stores(settings, url)
        with connect(url) as connection:
            index_subjects(connection, settings.subject_fields)
        with meter("items") as shown:
            hide(url, projections, stores, shown.report)
        with connect(url) as connection:
            found = statuses(connection, projections.values(), stores)
            hints = find_hints(connection, projections.values())
        unreachable = stores.unreachable()
    models = [one for one in found if one.generation is not None or one.state in ("failing", "building")]
    if as_json:
        from strandline.consumer.monitoring.as_json import projection_json

        show_json({"projections": [projection_json(one) for one in models], "hints": hints})
    else:
        say_projections(models)
        for hint in hints:
            say(hint)
    if unreachable:
        return complain(
            f"OpenSearch at {settings.shown_opensearch_url} does not answer, so its read models are not up to date.\n"
            "Check STRANDLINE_OPENSEARCH_URL and the node, then run `strandline project` again.",
            1,
        )
    return 1 if any(one.state == "failing" for one in models) else 0
