"""The command `rejected`."""

from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json, show_table
from strandline.cli.session import open_store


def rejected(
    limit: Annotated[int, typer.Option(help="How many to list, the oldest first.", min=1)] = 1000,
    as_json: AsJson = False,
) -> int:
    """List what was rejected at intake or by the chain."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.store.rejected import read_rejected

    with open_store() as (settings, url), connect(url) as connection:
        total, records = read_rejected(connection, limit)
    if as_json:
        show_json({"rejected": total, "records": [one.as_dict() for one in records]})
    elif not records:
        say("Nothing was rejected.")
    else:
        show_table(
            ("rejected at", "block", "source", "fault", "detail", "bytes kept"),
            [
                (
                    one.rejected_at.isoformat(" ", "seconds"),
                    one.sequence_no,
                    one.source,
                    one.fault,
                    one.detail,
                    one.size,
                )
                for one in records
            ],
        )
        if total > len(records):
            say(f"{total - len(records):,} more are not shown: raise --limit.")
        say(f"Kept bytes are removed by `strandline redactions expunge` after {settings.rejected_days} days.")
    return 0
