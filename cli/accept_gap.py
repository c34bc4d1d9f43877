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
    reason: Annotated[str, typer.Option(help="Why they will not come, for whoever audits this; no personal data.")],
    as_json: AsJson = False,
) -> int:
    """Pass over blocks that are lost for ever; every status, verification and proof says so from then on."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.mark.gaps import accept_gap

    with open_store() as (_, url), connect(url) as connection:
        mark = accept_gap(connection, first, last, reason)
    at = mark.sequence_no if mark.sequence_no >= mark.origin else None
    if as_json:
        show_json({"accepted": [first, last], "reason": reason.strip(), "mark": at})
    else:
        say(f"Accepted: {span(first, last)} will not come. {_mark_text(at)}")
        say("Run `strandline replay` again, or leave it to the worker, to project what lies beyond.")
    return 0


def _mark_text(at: int | None) -> str:
    return "The mark has not passed any block yet." if at is None else f"The mark is at block {at:,}."
