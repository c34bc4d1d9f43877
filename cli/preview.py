"""The command `preview`."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import plain, say, show_json
from strandline.cli.session import discover_projections, open_store
from strandline.cli.texts import count

if TYPE_CHECKING:
    from strandline.consumer.projector.preview import Preview


def preview(
    name: Annotated[str, typer.Argument(help="The read model's name.")],
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Documents, keys or blocks to show.")] = 10,
    as_json: AsJson = False,
) -> int:
    """Show the rows of a projection for a few documents.

    They are the newest ones. Nothing is written. The output holds data of the journal: show it only to people who
    may see that.
    """
    from strandline.consumer.database.connection import AUDITOR, connect
    from strandline.consumer.projection.discovery import find_projection
    from strandline.consumer.projector.preview import preview_store

    projection = find_projection(discover_projections(), name)
    with open_store() as (_, url), connect(url, role=AUDITOR) as connection, connection.transaction():
        found = preview_store(connection, projection, limit)
    if as_json:
        entries = [asdict(one) for one in found.entries]
        show_json({"projection": name, "entries": json.loads(json.dumps(entries, default=str))})
    else:
        _show(name, found)
    return 1 if found.parked else 0


def _show(name: str, found: "Preview") -> None:
    for entry in found.entries:
        if entry.reason:
            say(f"{plain(entry.key)}: would park: {plain(entry.reason)}")
        elif not entry.rows:
            say(f"{plain(entry.key)}: no rows")
        for row in entry.rows:
            say(f"{plain(entry.key)}:")
            for column, value in row.items():
                say(f"  {column}: {'' if value is None else plain(str(value))}")
    rows, parked = len(found.rows), len(found.parked)
    say(f"{name}: {count(rows, 'row')} of {len(found.entries):,} documents, keys or blocks; {parked:,} would park.")
