"""The commands `ledger export` and `ledger stream`."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from threading import Event
from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.progress import Counter, meter
from strandline.cli.session import open_store
from strandline.cli.texts import count
from strandline.journal.errors import UsageError
from strandline.journal.make.format import Format

app = typer.Typer(name="ledger", help="Publish the journal as an export or a stream.")

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
