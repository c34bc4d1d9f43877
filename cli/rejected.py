"""The commands that face what did not come in: `rejected` and `accept-gap`."""

from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json, show_table
from strandline.cli.session import open_store
from strandline.cli.texts import count


def rejected(
    limit: Annotated[int, typer.Option(help="How many, the oldest first.", min=1)] = 1000, as_json: AsJson = False
) -> int:
    """What was refused at intake or lost to the chain, by age; and whether its bytes are held still."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.store.rejected import read_rejected

    with open_store() as (settings, url), connect(url) as connection:
        total, found = read_rejected(connection, limit)
    if as_json:
        show_json({"rejected": total, "records": [one.told() for one in found]})
    elif not found:
        say("Nothing was refused.")
    else:
        show_table(
            ("refused at", "block", "source", "fault", "detail", "bytes held"),
            [
                (
                    one.rejected_at.isoformat(" ", "seconds"),
                    one.sequence_no,
                    one.source,
                    one.fault,
                    one.detail,
                    one.size,
                )
                for one in found
            ],
        )
        if total > len(found):
            say(f"{count(total - len(found), 'more')} are not shown (--limit).")
        say(f"`strandline redactions expunge` purges bytes that are held for {settings.rejected_days} days.")
    return 0
