"""The command `accept-omission`."""

from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.session import open_store


def accept_omission(
    block: Annotated[int, typer.Argument(help="The block.", metavar="BLOCK")],
    reason: Annotated[str, typer.Option(help="Why it is accepted, for auditors. No personal data.")],
    as_json: AsJson = False,
) -> int:
    """Pass a block that is not shown to be complete.

    From then on, every status, verification and proof names the block.
    """
    from strandline.consumer.database.connection import connect
    from strandline.consumer.mark.omissions import accept_omission

    with open_store() as (_, url), connect(url) as connection:
        mark = accept_omission(connection, block, reason)
    at = mark.sequence_no if mark.sequence_no >= mark.origin else None
    if as_json:
        show_json({"accepted": block, "reason": reason.strip(), "mark": at})
    else:
        through = "no block is verified yet" if at is None else f"verified through block {at:,}"
        say(f"Accepted block {block:,} as it is; {through}.")
    return 0
