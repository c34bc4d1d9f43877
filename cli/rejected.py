"""The commands that face what did not come in: `rejected` and `accept-gap`."""

from typing import Annotated

import typer

from strandline.cli.output import AsJson, count, say, show_json, show_table, span
from strandline.cli.session import open_store


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
