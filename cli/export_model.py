"""The command `export-model`."""

import re
from datetime import timedelta
from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.session import open_reader
from strandline.cli.texts import count
from strandline.journal.errors import UsageError

_TTL = re.compile(r"([1-9][0-9]{0,4})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def export_model(
    name: Annotated[str, typer.Argument(help="The read model.", metavar="NAME")],
    file: Annotated[
        str, typer.Argument(help="A file, or s3://bucket/key, that ends in .parquet, .csv or .jsonl.", metavar="FILE")
    ],
    with_ttl: Annotated[
        str | None, typer.Option("--with-ttl", help="How long to keep it, such as 30d (h, d or w).", metavar="TIME")
    ] = None,
    rows_per_file: Annotated[
        int | None, typer.Option(help="Write a folder FILE of files with so many rows each.", metavar="N", min=1)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: AsJson = False,
) -> int:
    """Export a read model to a registered file.

    No redaction reaches a copy: `status` says when it holds redacted data, and `exports` deletes it.
    """
    from strandline.consumer.exports.export import export_model

    keep = None if with_ttl is None else _duration(with_ttl)
    with open_reader() as url:
        done = export_model(url, name, file, keep=keep, rows_per_file=rows_per_file, overwrite=overwrite)
    if as_json:
        show_json(
            {
                "export": done.number,
                "read_model": done.read_model,
                "as_of_block": done.as_of_block,
                "place": done.place,
                "rows": done.rows,
            }
        )
    else:
        say(f"Exported {count(done.rows, 'row')} of {name} as of block {done.as_of_block:,} to {file}.")
        say(f"This copy is export {done.number}. No redaction reaches it: `strandline exports --delete {done.number}`.")
    return 0


def _duration(text: str) -> timedelta:
    match = _TTL.fullmatch(text)
    if match is None:
        raise UsageError(f"--with-ttl {text}: write a number and h, d or w, such as 30d.")
    return int(match[1]) * _UNITS[match[2]]
