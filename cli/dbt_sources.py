"""The command `dbt-sources`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import json_escaped, note, say, show_json
from strandline.cli.session import open_reader
from strandline.cli.texts import count

if TYPE_CHECKING:
    from strandline.consumer.database.read_models import ReadModel

DESCRIPTION = "Read models of the ledger, by Strandline. Each row names its source: document, version, block."


def dbt_sources(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write it; default: standard output.", metavar="FILE")
    ] = None,
    name: Annotated[str, typer.Option(help="The source's name in dbt.")] = "strandline",
    as_json: AsJson = False,
) -> int:
    """Write dbt's sources.yml of the read models.

    It has those in PostgreSQL that your login may read.
    """
    from strandline.consumer.database.read_models import read_models

    with open_reader() as url:
        models = read_models(url)
    text = json_escaped(_yaml(name, models))
    if output is not None:
        output.write_text(text, encoding="utf-8")
        note(f"Wrote {count(len(models), 'read model')} to {output}.")
    if as_json:
        show_json({"read_models": [one.name for one in models], "output": None if output is None else str(output)})
    elif output is None:
        say(text.rstrip("\n"))
    return 0


def _yaml(name: str, models: "list[ReadModel]") -> str:
    """Return the file. A JSON string is a YAML string, whatever characters are in it."""
    lines = ["version: 2", "sources:", f"  - name: {json.dumps(name)}", f"    description: {_quoted(DESCRIPTION)}"]
    lines += ["    schema: read", "    tables:" if models else "    tables: []"]
    for model in models:
        lines += [f"      - name: {_quoted(model.name)}", f"        description: {_quoted(model.purpose)}"]
        lines += [f"        meta: {{readers: {_quoted(model.readers)}}}", "        columns:"]
        for column in model.columns:
            lines += [f"          - name: {_quoted(column.name)}", f"            data_type: {_quoted(column.type)}"]
            if column.description:
                lines.append(f"            description: {_quoted(column.description)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
