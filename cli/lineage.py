"""The command `lineage`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, say
from strandline.cli.session import open_store
from strandline.cli.texts import count
from strandline.consumer.extras import needs_extra

if TYPE_CHECKING:
    from collections.abc import Callable

    from strandline.ledger.provenance.lineage import Lineage


def lineage(
    thing: Annotated[str, typer.Argument(help="The thing's id: a data set's, a model's, an activity's.", metavar="ID")],
    results: Annotated[bool, typer.Option("--results", help="Show what was made from it instead.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also write the lineage to this file, as PROV-JSON.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show what a thing was made from, as a tree.

    With --json, prints W3C's PROV-JSON.
    """
    import sys

    from strandline.ledger.provenance.lineage import read_lineage, tree

    prov_json = _prov_json() if as_json or output is not None else None
    with open_store() as (_, url):
        found = read_lineage(url, thing, "results" if results else "sources")
    if output is not None and prov_json is not None:
        output.write_text(prov_json(found) + "\n", encoding="utf-8")
        note(f"Wrote PROV-JSON of {count(len(found.relations), 'relation')} to {output}.")
    if as_json and prov_json is not None:
        sys.stdout.write(prov_json(found) + "\n")
        return 0
    for line in tree(found):
        say(line)
    return 0


def _prov_json() -> "Callable[[Lineage], str]":
    with needs_extra("provenance"):
        from strandline.ledger.provenance.prov_json import prov_json
    return prov_json
