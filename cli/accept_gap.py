"""The command `accept-gap`."""

from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.session import open_store
from strandline.cli.texts import span


def accept_gap(
    first: Annotated[int, typer.Argument(help="The first block that is lost.", metavar="FROM")],
    last: Annotated[int, typer.Argument(help="The last block that is lost.", metavar="TO")],
    reason: Annotated[str, typer.Option(help="Why they are lost, for auditors. No personal data.")],
    as_json: AsJson = False,
) -> int:
    """Skip blocks that are permanently lost.

    From then on, every status, verification and proof names the gap.
    """
    from strandline.consumer.database.connection import connect
    from strandline.consumer.mark.gaps import accept_gap

    with open_store() as (_, url), connect(url) as connection:
        mark = accept_gap(connection, first, last, reason)
    at = mark.sequence_no if mark.sequence_no >= mark.origin else None
    if as_json:
        show_json({"accepted": [first, last], "reason": reason.strip(), "mark": at})
    else:
        through = "no block is verified yet" if at is None else f"verified through block {at:,}"
        say(f"Accepted the gap: {span(first, last)} will be skipped; {through}.")
        say("To project the blocks after it, run `strandline project`, or leave that to the worker.")
    return 0
