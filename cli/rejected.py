"""The command `rejected`."""

from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json, show_table
from strandline.cli.session import open_store
from strandline.cli.texts import count, span

if TYPE_CHECKING:
    from strandline.consumer.store.rejected import Reason, StoredRefusal


def rejected(
    each: Annotated[bool, typer.Option("--list", help="List each of them, the oldest first.")] = False,
    limit: Annotated[int, typer.Option(help="With --list or --json: how many to list.", min=1)] = 1000,
    acknowledged: Annotated[bool, typer.Option("--all", help="Include what was acknowledged.")] = False,
    acknowledge: Annotated[
        bool, typer.Option("--acknowledge", help="Mark all of it as dealt with: no longer counted or listed.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Sum up what was rejected, and why."""
    from strandline.consumer.database.connection import AUDITOR, WORKER, connect
    from strandline.consumer.store import rejected

    role = WORKER if acknowledge else AUDITOR
    with open_store() as (settings, url), connect(url, role=role) as connection:
        marked = rejected.acknowledge(connection) if acknowledge else 0
        reasons = rejected.read_reasons(connection, acknowledged=acknowledged)
        records = rejected.read_rejected(connection, limit, acknowledged=acknowledged) if each or as_json else []
    total = sum(one.number for one in reasons)
    if as_json:
        listed = {"reasons": [one.as_dict() for one in reasons], "records": [one.as_dict() for one in records]}
        show_json({"rejected": total, **listed, "newly_acknowledged": marked})
        return 0
    if acknowledge:
        say(f"Acknowledged {count(marked, 'rejected item')}.")
    if reasons:
        _say_reasons(reasons)
        if each:
            _say_records(records)
            if total > len(records):
                say(f"{total - len(records):,} more are not shown: raise --limit.")
        else:
            say("To see each: `strandline rejected --list`. Once dealt with: `strandline rejected --acknowledge`.")
        say(f"Kept bytes are removed by `strandline redactions expunge` after {settings.rejected_days} days.")
    elif not acknowledge:
        say("Nothing was rejected.")
    return 0


def _say_reasons(reasons: "list[Reason]") -> None:
    show_table(
        ("fault", "rejected", "blocks", "latest"),
        [(one.fault, one.number, _blocks(one), one.latest.isoformat(" ", "seconds")) for one in reasons],
    )


def _blocks(reason: "Reason") -> str:
    return "" if reason.first_no is None or reason.last_no is None else span(reason.first_no, reason.last_no)


def _say_records(records: "list[StoredRefusal]") -> None:
    show_table(
        ("rejected at", "block", "source", "fault", "detail", "bytes kept"),
        [
            (one.rejected_at.isoformat(" ", "seconds"), one.sequence_no, one.source, one.fault, one.detail, one.size)
            for one in records
        ],
    )
