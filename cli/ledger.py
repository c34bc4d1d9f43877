"""The commands of the write side: `redact`, `ledger export` and `ledger stream`."""

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strandline.cli.output import AsJson, count, note, note_residue, say, show_json, show_table
from strandline.cli.progress import Counter, meter
from strandline.cli.session import discover_projections, open_store
from strandline.journal.errors import UsageError
from strandline.journal.make.export import Format

if TYPE_CHECKING:
    from strandline.consumer.projection.definition import Projection
    from strandline.consumer.settings import Settings
    from strandline.ledger import Ledger
    from strandline.ledger.redaction import Redaction

app = typer.Typer(name="ledger", help="Write the journal out again: as an export, or as a stream.")

Follow = Annotated[bool, typer.Option("--follow", help="Go on as blocks come, until ended (Ctrl-C, SIGTERM).")]


def redact(
    document: Annotated[str | None, typer.Argument(help="The document's id.")] = None,
    version: Annotated[int | None, typer.Argument(help="The revision's version, one that is not the current.")] = None,
    whole: Annotated[
        str | None,
        typer.Option("--document", metavar="ID", help="Delete the document, then redact all its revisions."),
    ] = None,
    attribute: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --document: remove this attribute, redact the revisions that had it."),
    ] = None,
    value: Annotated[
        str | None, typer.Option(metavar="V", help="With --attribute: only where it has this value (JSON, or text).")
    ] = None,
    due: Annotated[bool, typer.Option("--due", help="Revisions past the rules of STRANDLINE_RETENTION.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --due: only show what is due.")] = False,
    as_json: AsJson = False,
) -> int:
    """Append redactions to the ledger: of one revision, a document, an attribute, or of what is due."""
    _check_use(document, version, whole, attribute, value, due=due, dry_run=dry_run)
    projections = discover_projections()
    with open_store() as (settings, url):
        if dry_run:
            return _show_due(_due(settings, url), as_json)
        from strandline.ledger import Ledger

        with Ledger(url, origin=settings.origin) as ledger:
            done = list(_redactions(ledger, settings, document, version, whole, attribute, value))
        left = _purge(url, settings, projections) if done else 0
    if as_json:
        show_json({"redactions": [asdict(one) for one in done], "open": left, "dry_run": False})
    else:
        _say_redacted(done, left)
    return 1 if left else 0


@app.command()
def export(
    destination: Annotated[str, typer.Argument(help="A folder, or s3://bucket/prefix.", metavar="DEST")],
    follow: Follow = False,
    format: Annotated[Format, typer.Option(help="The objects' format.")] = Format.ION_TEXT,
    as_json: AsJson = False,
) -> int:
    """Export the journal as QLDB did; what is at the destination already is gone on with."""
    from strandline.ledger.publish.export import Exporter
    from strandline.ledger.publish.target import target

    with open_store() as (_, url), meter() as shown, _until_ended() as ended:
        exporter = Exporter(url, target(destination), format)
        progress = Counter(shown, "exporting", None)
        done = exporter.follow(ended, progress) if follow else exporter.run(progress)
    if as_json:
        show_json({"destination": destination, **asdict(done)})
    else:
        end = "" if done.last_no is None else f"; it ends at block {done.last_no:,}"
        say(f"Exported {count(done.blocks, 'block')} in {count(done.objects, 'object')} to {destination}{end}.")
    return 0


@app.command()
def stream(
    name: Annotated[
        str | None, typer.Argument(help="The Kinesis stream; STRANDLINE_STREAM without.", metavar="STREAM")
    ] = None,
    follow: Follow = False,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
            help="Of a new stream: the time (UTC) that it ends before; then COMPLETED closes it.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Stream the journal to Kinesis as QLDB did; goes on where it stopped."""
    from strandline.ledger.publish.kinesis import kinesis
    from strandline.ledger.publish.stream import Streamer

    with open_store() as (settings, url), meter() as shown, _until_ended() as ended:
        if (wanted := name or settings.stream) is None:
            raise UsageError("Name the Kinesis stream, or set STRANDLINE_STREAM.")
        ends_at = until.replace(tzinfo=until.tzinfo or UTC) if until is not None else None
        streamer = Streamer(url, kinesis(), wanted, ends_at)
        done = streamer.run(follow=follow, stopping=ended, progress=Counter(shown, "streaming", None))
    if as_json:
        show_json({"stream": wanted, **asdict(done)})
    else:
        end = "" if done.last_no is None else f"; all up to block {done.last_no:,} are in"
        end += ", and COMPLETED" if done.completed else ""
        say(f"Streamed {count(done.blocks, 'block')} in {count(done.records, 'record')} to {wanted}{end}.")
    return 0


def _check_use(
    document: str | None, version: int | None, whole: str | None, attribute: str | None, value: str | None,
    *, due: bool, dry_run: bool,
) -> None:  # fmt: skip
    if (document is not None) + (whole is not None) + due != 1 or (document is None) != (version is None):
        raise UsageError("Give DOCUMENT and VERSION, or --document ID, or --due.")
    if (attribute is not None and whole is None) or (value is not None and attribute is None):
        raise UsageError("--attribute goes with --document, and --value with --attribute.")
    if dry_run and not due:
        raise UsageError("--dry-run goes with --due.")


def _redactions(
    ledger: "Ledger", settings: "Settings",
    document: str | None, version: int | None, whole: str | None, attribute: str | None, value: str | None,
) -> "Iterator[Redaction]":  # fmt: skip
    from strandline.ledger.redaction import equal_to, redact_attribute, redact_document, redact_revision

    if document is not None and version is not None:
        yield redact_revision(ledger, document, version)
    elif whole is not None and attribute is not None:
        matches: Callable[[Any], bool] = (lambda _: True) if value is None else equal_to(_as_json(value))
        yield from redact_attribute(ledger, whole, attribute, matches)
    elif whole is not None:
        yield from redact_document(ledger, whole)
    else:
        for due_document, due_version in _due(settings, ledger.url):
            yield redact_revision(ledger, due_document, due_version)


def _due(settings: "Settings", url: str) -> list[tuple[str, int]]:
    from strandline.ledger.retention import due, parse_rules

    return list(due(url, parse_rules(settings.retention)))


def _purge(url: str, settings: "Settings", projections: "Mapping[str, Projection]") -> int:
    """Bring every read model past the redactions, and issue their receipts; gives how many are open still."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.purge import hide
    from strandline.consumer.generations.stores import open_stores
    from strandline.consumer.monitoring.status import read_status

    stores = open_stores(settings, url)
    with meter() as shown:
        found = hide(url, projections, stores, shown.report)
    note_residue(found)
    with connect(url) as connection:
        return read_status(connection, projections.values(), stores).redactions.open


def _as_json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        return text


def _show_due(due: list[tuple[str, int]], as_json: bool) -> int:
    if as_json:
        show_json({"due": [{"document_id": id_, "version": version} for id_, version in due], "dry_run": True})
        return 0
    show_table(("document", "version"), due)
    say(f"{count(len(due), 'revision')} would be redacted.")
    return 0


def _say_redacted(done: "list[Redaction]", left: int) -> None:
    if not done:
        say("Nothing was left to redact.")
        return
    rows = [(one.document_id, one.version, one.sequence_no, one.redacted_by) for one in done]
    show_table(("document", "version", "block", "redacted by block"), rows)
    say(f"Redacted {count(len(done), 'revision')}: the data is gone from the journal store and its read models.")
    if left:
        note(f"But for {count(left, 'redaction')} that not every read model has passed: see `strandline status`.")
    note("Exports, streams and backups made before still hold it.")


@contextmanager
def _until_ended() -> Iterator[Callable[[], bool]]:
    """Whether a signal has asked to end: the object or batch in hand is finished first."""
    ended = Event()
    before = {one: signal.signal(one, lambda *_: ended.set()) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
