"""The commands `rebuild` and `rollback`, which change the generation of a read model that is served."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, say, show_json
from strandline.cli.progress import meter
from strandline.cli.session import discover_projections, open_store
from strandline.cli.texts import count

if TYPE_CHECKING:
    from strandline.consumer.generations.rebuild import Served

Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="The read models' names.")]


def rebuild(
    names: Names,
    accept: Annotated[
        bool, typer.Option("--accept", help="Serve the rebuilt generation even if rows are missing or documents park.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Rebuild read models, compare, and cut over.

    The current generation is served until the cut-over, and kept for `rollback`. It stays if the rebuilt one is worse:
    if rows are missing, or if documents park that did not. If a rebuild is interrupted, the next run resumes or
    restarts it.
    """
    from strandline.consumer.generations.rebuild import rebuild
    from strandline.consumer.generations.stores import open_stores
    from strandline.consumer.projection.discovery import find_projection

    projections = discover_projections()
    for name in names:  # a wrong name must show before hours of work
        find_projection(projections, name)
    results = []
    with open_store() as (settings, url), meter("items") as shown:
        stores = open_stores(settings, url)
        for name in dict.fromkeys(names):
            results.append(rebuild(url, projections, name, progress=shown.report, stores=stores, accept=accept))
    return _report(results, as_json)


def rollback(
    name: Annotated[str, typer.Argument(help="The read model's name.")],
    stale: Annotated[
        bool,
        typer.Option("--stale", help="Also to a generation of an older definition, which receives no new blocks."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Switch a read model back to its previous generation."""
    from strandline.consumer.generations.rollback import rollback
    from strandline.consumer.generations.stores import open_stores

    projections = discover_projections()
    with open_store() as (settings, url):
        result = rollback(url, projections, name, stale=stale, stores=open_stores(settings, url))
    return _report([result], as_json)


def _describe(one: "Served") -> str:
    """Return how a rebuilt generation differs, or is worse; empty if it does not."""
    found = [one.difference] if one.difference else []
    if one.worse and not one.difference and one.rows_before is not None and one.rows < one.rows_before:
        found.append(f"{one.rows_before:,} rows served, {one.rows:,} rebuilt")
    if one.newly_parked:
        found.append(f"{count(one.newly_parked, 'document')} newly parked")
    return "; ".join(found)


def _report(results: "Sequence[Served]", as_json: bool) -> int:
    if as_json:
        show_json({"projections": [asdict(one) for one in results]})
    for one in results:
        if found := _describe(one):
            outcome = "it is served" if one.swapped else "the old one stays in service"
            note(f"{one.name}: the rebuilt generation differs: {found}; {outcome}.")
            for reason, documents in one.reasons:
                note(f"  {documents:,} parked: {reason}")
            if not one.swapped:
                note(f"To serve it nevertheless: `strandline rebuild {one.name} --accept`.")
        if not as_json and one.swapped:
            say(f"{one.name}: serving generation {one.generation}, {count(one.rows, 'row')}, {one.seconds:.1f} s.")
    return 0 if all(one.swapped for one in results) else 1
