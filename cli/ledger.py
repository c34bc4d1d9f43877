"""The commands of `ledger`: the server's ledgers, and the journal's export and stream."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json, show_table
from strandline.cli.progress import Counter, meter
from strandline.cli.session import open_store
from strandline.cli.texts import count
from strandline.journal.errors import StrandlineError, UsageError
from strandline.journal.make.format import Format

if TYPE_CHECKING:
    from strandline.consumer.database.ledgers import CataloguedLedger

app = typer.Typer(name="ledger", help="The ledgers; the journal as an export or a stream.")

Follow = Annotated[bool, typer.Option("--follow", help="Continue as blocks are appended, until Ctrl-C or SIGTERM.")]


@app.command()
def export(
    destination: Annotated[str, typer.Argument(help="A folder, or s3://bucket/prefix.", metavar="DEST")],
    follow: Follow = False,
    format: Annotated[Format, typer.Option(help="The objects' format.")] = Format.ION_TEXT,
    as_json: AsJson = False,
) -> int:
    """Export the journal in QLDB's format. Resumes an earlier export."""
    from strandline.ledger.publish.export import Exporter
    from strandline.ledger.publish.target import target

    with open_store() as (_, url), meter() as shown, _until_signal() as stopping:
        exporter = Exporter(url, target(destination), format)
        progress = Counter(shown, "exporting", None)
        done = exporter.follow(stopping, progress) if follow else exporter.run(progress)
    if as_json:
        show_json({"destination": destination, **asdict(done)})
    else:
        end = "" if done.last_no is None else f", through block {done.last_no:,}"
        say(f"Exported {count(done.blocks, 'block')} in {count(done.objects, 'object')} to {destination}{end}.")
    return 0


@app.command()
def stream(
    name: Annotated[
        str | None, typer.Argument(help="The Kinesis stream. Default: STRANDLINE_STREAM.", metavar="STREAM")
    ] = None,
    follow: Follow = False,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
            help="Of a new stream: its end, exclusive (UTC). A COMPLETED record then closes it.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Stream the journal to Kinesis as QLDB did. Resumes."""
    from strandline.ledger.publish.kinesis import kinesis
    from strandline.ledger.publish.stream import Streamer

    with open_store() as (settings, url), meter() as shown, _until_signal() as stopping:
        if (stream_name := name or settings.stream) is None:
            raise UsageError("Name the Kinesis stream, or set STRANDLINE_STREAM.")
        ends_at = until.replace(tzinfo=until.tzinfo or UTC) if until is not None else None
        streamer = Streamer(url, kinesis(), stream_name, ends_at)
        done = streamer.run(follow=follow, stopping=stopping, progress=Counter(shown, "streaming", None))
    if as_json:
        show_json({"stream": stream_name, **asdict(done)})
    else:
        end = "" if done.last_no is None else f", through block {done.last_no:,}"
        end += ", and COMPLETED" if done.completed else ""
        say(f"Streamed {count(done.blocks, 'block')} in {count(done.records, 'record')} to {stream_name}{end}.")
    return 0


class Mode(StrEnum):
    ALLOW_ALL = "ALLOW_ALL"
    STANDARD = "STANDARD"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="1 to 32 letters, digits and single hyphens.", metavar="NAME")],
    mode: Annotated[Mode, typer.Option(help="Who may run statements: docs/permissions.md.")] = Mode.STANDARD,
    as_json: AsJson = False,
) -> int:
    """Create a ledger: a database on the same server. It is protected from deletion."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.database.ledgers import add_ledger, finish, read_ledger

    with open_store(of_ledger=False) as (_, home):
        with connect(home) as connection:
            made = read_ledger(connection, name)
            if made is None or made.state != "CREATING":  # one that was interrupted is finished
                made = add_ledger(connection, name, mode.value, deletion_protection=True)
        done = finish(home, made)
    if done is None or done.state != "ACTIVE":
        raise StrandlineError(f"A server is creating ledger {name}: `strandline ledger list` shows when it is done.")
    if as_json:
        show_json(_as_json(done))
    else:
        say(f"Created ledger {name}. Name it to each command: `strandline partiql --ledger {name} STATEMENT`.")
    return 0


@app.command("list")
def list_(as_json: AsJson = False) -> int:
    """List the ledgers of the server."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.database.ledgers import read_ledgers

    with open_store(of_ledger=False) as (_, home), connect(home) as connection:
        found = read_ledgers(connection)
    if as_json:
        show_json({"ledgers": [_as_json(one) for one in found]})
    else:
        columns = ("ledger", "state", "permissions", "protected", "database")
        show_table(
            columns,
            [
                (one.name, one.state, one.permissions_mode, one.deletion_protection, one.database or "this one")
                for one in found
            ],
        )
    return 0


@app.command()
def update(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    mode: Annotated[Mode | None, typer.Option(help="Who may run statements: docs/permissions.md.")] = None,
    protection: Annotated[bool | None, typer.Option("--protect/--no-protect", help="From deletion.")] = None,
    as_json: AsJson = False,
) -> int:
    """Change a ledger's permissions mode or its protection."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.database.ledgers import update_ledger

    with open_store(of_ledger=False) as (_, home), connect(home) as connection:
        changed = update_ledger(connection, name, mode=mode.value if mode else None, deletion_protection=protection)
    if changed is None:
        raise UsageError(f"There is no active ledger {name}: `strandline ledger list` shows them.")
    if as_json:
        show_json(_as_json(changed))
    else:
        protected = "protected" if changed.deletion_protection else "not protected"
        say(f"Ledger {name}: {changed.permissions_mode}, {protected} from deletion.")
    return 0


@app.command()
def delete(name: Annotated[str, typer.Argument(metavar="NAME")], as_json: AsJson = False) -> int:
    """Delete a ledger and all that it holds, for good. Its deletion protection must be off."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.database.ledgers import delete_ledger, finish, read_ledger

    with open_store(of_ledger=False) as (_, home):
        with connect(home) as connection:
            found = read_ledger(connection, name)
            if found is None:
                raise UsageError(f"There is no ledger {name}: `strandline ledger list` shows them.")
            if found.state != "DELETING":  # one that was interrupted is finished
                found = delete_ledger(connection, name)
        finish(home, found)
    if as_json:
        show_json({"ledger": name, "deleted": True})
    else:
        say(f"Deleted ledger {name}.")
    return 0


def _as_json(ledger: "CataloguedLedger") -> dict[str, Any]:
    return {**asdict(ledger), "created_at": ledger.created_at.isoformat()}


@contextmanager
def _until_signal() -> Iterator[Callable[[], bool]]:
    """Give a check for SIGINT and SIGTERM; the exporter or streamer finishes its object or batch first."""
    stopping = Event()
    before = {one: signal.signal(one, lambda *_: stopping.set()) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
