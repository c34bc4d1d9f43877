"""The command `init-projection`."""

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
        Path | None, typer.Option("-o", "--output", help="The file. Default: NAME.py in this folder.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The read model's name. Default: from the table's name.")] = None,
    as_json: AsJson = False,
) -> int:
    """Draft a projection of a table's fields, for you to edit."""
    from strandline.consumer.database.connection import AUDITOR, connect
    from strandline.consumer.projection.draft import draft, read_fields, snake

    projections = discover_projections()
    model = snake(table) if name is None else name
    if model in projections:
        raise UsageError(f"There is already a projection {model!r}: choose another name with --name.")
    with open_store() as (_, url), connect(url, role=AUDITOR) as connection:
        fields = read_fields(connection, table)
    text = draft(table, model, fields)
    file = output or Path(f"{model}.py")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise UsageError(f"{file} already exists: choose another file with -o.") from None
    if as_json:
        show_json({"file": str(file), "name": model, "fields": len({one.path for one in fields})})
    else:
        say(f"{file}: a projection of {count(len({one.path for one in fields}), 'field')}. Edit it,")
        say(f"add its module to STRANDLINE_PROJECTIONS, then run `strandline rebuild {model}`.")
    return 0
