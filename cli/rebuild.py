"""The commands that change which generation of a read model is served: `rebuild` and `rollback`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, say, show_json
from strandline.cli.progress import meter
from strandline.cli.session import discover_projections, open_store
from strandline.cli.texts import count
from strandline.journal.errors import UsageError

if TYPE_CHECKING:
    from strandline.consumer.generations.rebuild import Served
    from strandline.consumer.projection.definition import Projection

Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="The read models' names.")]


def rebuild(names: Names, as_json: AsJson = False) -> int:
    """Build read models anew from the journal, compare each with the one served, and let it take its place.

    What is served goes on meanwhile. The one before is kept for `rollback`.
    """
    from strandline.consumer.generations.rebuild import rebuild
    from strandline.consumer.generations.stores import open_stores

    projections = discover_projections()
    _check(names, projections)
    done = []
    with open_store() as (settings, url), meter("items") as shown:
        stores = open_stores(settings, url)
        for name in dict.fromkeys(names):
            done.append(rebuild(url, projections, name, progress=shown.report, stores=stores))
    return _told(done, as_json)


def rollback(
    name: Annotated[str, typer.Argument(help="The read model's name.")],
    stale: Annotated[
        bool, typer.Option("--stale", help="Also to one of an older definition, which stands where it stood.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Let the generation of a read model that was served before be served again."""
    from strandline.consumer.generations.rollback import rollback
    from strandline.consumer.generations.stores import open_stores

    projections = discover_projections()
    with open_store() as (settings, url):
        done = rollback(url, projections, name, stale=stale, stores=open_stores(settings, url))
    return _told([done], as_json)


def _check(names: Sequence[str], projections: "Mapping[str, Projection]") -> None:
    """Before any work: a wrong name must not come up after an hour."""
    if unknown := [name for name in names if name not in projections]:
        raise UsageError(f"There is no projection {unknown[0]!r}; there are {', '.join(projections) or 'none'}.")


def _told(done: "Sequence[Served]", as_json: bool) -> int:
    if as_json:
        show_json({"projections": [asdict(one) for one in done]})
    for one in done:
        if one.difference:
            outcome = "it is served, for the journal had changed" if one.swapped else "so what was served stays"
            note(f"{one.name}: the rebuilt one differs ({one.difference}); {outcome}.")
        if not as_json and one.swapped:
            say(f"{one.name}: generation {one.generation} is served, {count(one.rows, 'row')}, {one.seconds:.1f} s.")
    return 0 if all(one.swapped for one in done) else 1
