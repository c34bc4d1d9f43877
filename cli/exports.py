"""The command `exports`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, say, show_json, show_table
from strandline.cli.session import open_store

if TYPE_CHECKING:
    from strandline.consumer.exports.register import Export


def exports(
    delete: Annotated[
        list[int] | None, typer.Option("--delete", help="Delete this export's files; may be repeated.", metavar="ID")
    ] = None,
    delete_expired: Annotated[bool, typer.Option("--delete-expired", help="Delete those past their time.")] = False,
    gone: Annotated[
        list[int] | None, typer.Option("--gone", help="Note that somebody deleted this one.", metavar="ID")
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Also list those that are deleted.")] = False,
    as_json: AsJson = False,
) -> int:
    """List copies of read models, and delete them.

    Status 1: one holds redacted data, is past its time, or is unfinished.
    """
    from strandline.consumer.database.connection import OPERATOR, connect
    from strandline.consumer.exports.place import place
    from strandline.consumer.exports.register import find_export, forget, read_exports

    with open_store() as (_, url), connect(url, role=OPERATOR, autocommit=True) as connection:
        chosen = [find_export(connection, number) for number in delete or ()]
        if delete_expired:
            chosen += [one for one in read_exports(connection) if one.expired and one not in chosen]
        for one in chosen:
            if not place(one.place).delete():
                note(f"Export {one.number} was not at {one.place} any more.")
            forget(url, one.number)
        for number in gone or ():
            forget(url, number)
        found = read_exports(connection, deleted=show_all)
    if as_json:
        show_json({"exports": [one.as_dict() for one in found]})
    else:
        _say(found)
    return 1 if any(one.needs_action for one in found) else 0


def _say(found: "list[Export]") -> None:
    if not found:
        say("There are no exports.")
        return
    show_table(
        ("no.", "read model", "as of block", "exported", "keep until", "state", "place"),
        [
            (
                one.number,
                one.read_model,
                one.as_of_block,
                _day(one.exported_at),
                _minute(one.expires_at),
                one.state,
                one.place,
            )
            for one in found
        ],
    )


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"


def _minute(time: datetime | None) -> str:
    return "" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
