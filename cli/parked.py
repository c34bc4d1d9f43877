"""The commands `parked` and `retry`."""

from dataclasses import asdict
from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json, show_table
from strandline.cli.session import discover_projections, open_store
from strandline.cli.texts import count


def parked(as_json: AsJson = False) -> int:
    """List documents that could not be projected, and why."""
    from strandline.consumer.database.connection import AUDITOR, connect
    from strandline.consumer.generations.state import parked

    with open_store() as (_, url), connect(url, role=AUDITOR) as connection:
        documents = parked(connection)
    if as_json:
        show_json({"parked": [one.as_dict() for one in documents]})
    elif not documents:
        say("Nothing is parked.")
    else:
        show_table(
            ("read model", "generation", "document", "version", "since block", "reason"),
            [(one.projection, one.generation, one.key, one.version, one.sequence_no, one.reason) for one in documents],
        )
        say("To run the parked documents of a read model again: `strandline retry NAME`.")
    return 1 if documents else 0


def retry(
    name: Annotated[str, typer.Argument(help="The read model's name.")],
    document: Annotated[str | None, typer.Option(help="Only this one, as `parked` names it.", metavar="KEY")] = None,
    as_json: AsJson = False,
) -> int:
    """Run a read model's parked documents again."""
    from strandline.consumer.generations.lifecycle import retry
    from strandline.consumer.generations.stores import open_stores

    projections = discover_projections()
    with open_store() as (settings, url):
        result = retry(url, projections, name, open_stores(settings, url), key=document)
    if as_json:
        show_json(asdict(result))
    elif not result.retried:
        say(f"{name} has no parked document{'s' if document is None else ' of this name'}.")
    else:
        say(f"{name}: retried {count(result.retried, 'parked document')}; {result.parked:,} parked now.")
    return 0 if not result.parked else 1
