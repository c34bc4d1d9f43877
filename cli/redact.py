"""The command `redact`."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, say, show_json, show_table
from strandline.cli.progress import meter
from strandline.cli.session import discover_projections, open_store
from strandline.cli.texts import count, note_residue
from strandline.journal.errors import UsageError

if TYPE_CHECKING:
    from strandline.consumer.projection.definition import Projection
    from strandline.consumer.settings import Settings
    from strandline.ledger import Ledger
    from strandline.ledger.redaction import Redaction


def redact(
    document: Annotated[str | None, typer.Argument(help="The document's id.")] = None,
    version: Annotated[
        int | None, typer.Argument(help="The revision's version. It must not be the current one.")
    ] = None,
    full_document: Annotated[
        str | None,
        typer.Option("--document", metavar="ID", help="Delete the document, then redact all its revisions."),
    ] = None,
    attribute: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="With --document: remove this attribute and redact the revisions that had it."
        ),
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(metavar="V", help="With --attribute: only revisions in which it has this value (JSON or text)."),
    ] = None,
    due: Annotated[
        bool, typer.Option("--due", help="Redact revisions that are older than STRANDLINE_RETENTION allows.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --due: only list what is due.")] = False,
    as_json: AsJson = False,
) -> int:
    """Redact a revision, a document or an attribute.

    The redactions are appended to the ledger and applied to every read model.
    """
    _check_use(document, version, full_document, attribute, value, due=due, dry_run=dry_run)
    projections = discover_projections()
    with open_store() as (settings, url):
        if dry_run:
            return _show_due(_due(settings, url), as_json)
        from strandline.ledger import Ledger

        with Ledger(url, origin=settings.origin) as ledger:
            done = list(_redactions(ledger, settings, document, version, full_document, attribute, value))
        pending = _purge(url, settings, projections) if done else 0
    if as_json:
        show_json({"redactions": [asdict(one) for one in done], "open": pending, "dry_run": False})
    else:
        _say_redacted(done, pending)
    return 1 if pending else 0


def _check_use(
    document: str | None, version: int | None, full_document: str | None, attribute: str | None, value: str | None,
    *, due: bool, dry_run: bool,
) -> None:  # fmt: skip
    if (document is not None) + (full_document is not None) + due != 1 or (document is None) != (version is None):
        raise UsageError("Give DOCUMENT and VERSION, or --document ID, or --due.")
    if (attribute is not None and full_document is None) or (value is not None and attribute is None):
        raise UsageError("--attribute goes with --document, and --value with --attribute.")
    if dry_run and not due:
        raise UsageError("--dry-run goes with --due.")


def _redactions(
    ledger: "Ledger", settings: "Settings",
    document: str | None, version: int | None, full_document: str | None, attribute: str | None, value: str | None,
) -> "Iterator[Redaction]":  # fmt: skip
    from strandline.ledger.redaction import equal_to, redact_attribute, redact_document, redact_revision

    if document is not None and version is not None:
        yield redact_revision(ledger, document, version)
    elif full_document is not None and attribute is not None:
        matches: Callable[[Any], bool] = (lambda _: True) if value is None else equal_to(_as_json(value))
        yield from redact_attribute(ledger, full_document, attribute, matches)
    elif full_document is not None:
        yield from redact_document(ledger, full_document)
    else:
        for due_document, due_version in _due(settings, ledger.url):
            yield redact_revision(ledger, due_document, due_version)


def _due(settings: "Settings", url: str) -> list[tuple[str, int]]:
    from strandline.ledger.retention import due, parse_rules

    return list(due(url, parse_rules(settings.retention)))


def _purge(url: str, settings: "Settings", projections: "Mapping[str, Projection]") -> int:
    """Apply the redactions to every read model and issue receipts. Returns how many are open."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.purge import hide
    from strandline.consumer.generations.stores import open_stores
    from strandline.consumer.monitoring.status import read_status

    stores = open_stores(settings, url)
    with meter() as shown:
        residue = hide(url, projections, stores, shown.report)
    note_residue(residue)
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


def _say_redacted(done: "list[Redaction]", pending: int) -> None:
    if not done:
        say("There is nothing to redact.")
        return
    rows = [(one.document_id, one.version, one.sequence_no, one.redacted_by) for one in done]
    show_table(("document", "version", "block", "redacted by block"), rows)
    say(
        f"Redacted {count(len(done), 'revision')}: the data is erased from the journal store"
        + ("." if pending else " and the read models.")
    )
    if pending:
        note(f"Pending in a read model: {count(pending, 'redaction')}; see `strandline status`.")
    note("Exports, streams and backups made before still hold the data.")
