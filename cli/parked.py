"""The commands `parked` and `retry`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json, show_table
from strandline.cli.session import discover_projections, open_store
from strandline.cli.texts import count

if TYPE_CHECKING:
    from strandline.consumer.generations.state import ParkedDocument


def parked(as_json: AsJson = False) -> int:
    """The documents that a read model could not take, since when and why."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.generations.state import parked

    with open_store() as (_, url), connect(url) as connection:
        found = parked(connection)
    if as_json:
        show_json({"parked": [_parked_json(one) for one in found]})
    elif not found:
        say("Nothing is parked.")
    else:
        show_table(
            ("read model", "generation", "document", "version", "since block", "reason"),
            [(one.projection, one.generation, one.key, one.version, one.sequence_no, one.reason) for one in found],
        )
        say("`strandline retry NAME` runs a read model's parked documents again.")
    return 1 if found else 0


def retry(
    name: Annotated[str, typer.Argument(help="The read model's name.")],
    as_json: AsJson = False,
) -> int:
    """Run a read model's parked documents again, from the journal."""
    from strandline.consumer.generations.lifecycle import retry
    from strandline.consumer.generations.stores import open_stores

    projections = discover_projections()
    with open_store() as (settings, url):
        result = retry(url, projections, name, open_stores(settings, url))
    if as_json:
        show_json(asdict(result))
    elif not result.retried:
        say(f"Nothing of {name} is parked.")
    else:
        say(f"{name}: ran {count(result.retried, 'parked document')} again; {result.parked:,} parked still.")
    return 0 if not result.parked else 1


def _parked_json(one: "ParkedDocument") -> dict[str, object]:
    return {
        "projection": one.projection,
        "generation": one.generation,
        "document": one.key,
        "version": one.version,
        "block": one.sequence_no,
        "reason": one.reason,
        "parked_at": one.parked_at.isoformat(),
    }
