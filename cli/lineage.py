"""The command `lineage`."""

from pathlib import Path
from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, plain, say
from strandline.cli.session import open_store
from strandline.cli.texts import count


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

    from strandline.ledger.provenance.lineage import prov_json, read_lineage, tree

    with open_store() as (_, url):
        found = read_lineage(url, thing, "results" if results else "sources")
    if output is not None:
        output.write_text(prov_json(found) + "\n", encoding="utf-8")
        note(f"Wrote PROV-JSON of {count(len(found.relations), 'relation')} to {output}.")
    if as_json:
        sys.stdout.write(prov_json(found) + "\n")
        return 0
    for line in tree(found):
        say(plain(line))
    return 0
