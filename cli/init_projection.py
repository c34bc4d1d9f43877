"""The command `init-projection`: a projection's file for a table of the user's own, to be cut down."""

from pathlib import Path
from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.session import discover_projections, open_store
from strandline.cli.texts import count
from strandline.journal.errors import UsageError


def init_projection(
    table: Annotated[str, typer.Argument(help="The table's name in the ledger.", metavar="TABLE")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file; NAME.py in this folder unless given.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The read model's name; from the table's unless given.")] = None,
    as_json: AsJson = False,
) -> int:
    """Write a projection with every field that the table's documents have had, for you to cut down."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.projection.draft import draft, read_fields, snake

    projections = discover_projections()
    wanted = snake(table) if name is None else name
    if wanted in projections:
        raise UsageError(f"There is a projection {wanted!r} already: give this one another name, --name.")
    with open_store() as (_, url), connect(url) as connection:
        fields = read_fields(connection, table)
    text = draft(table, wanted, fields)
    file = output or Path(f"{wanted}.py")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise UsageError(f"{file} exists already; it is left as it is. Name another with -o.") from None
    if as_json:
        show_json({"file": str(file), "name": wanted, "fields": len({one.path for one in fields})})
    else:
        say(f"{file}: a projection of {count(len({one.path for one in fields}), 'field')}. Cut it down, then")
        say(f"name its module in STRANDLINE_PROJECTIONS and run `strandline rebuild {wanted}`.")
    return 0
