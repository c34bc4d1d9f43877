"""The commands that face erasure: `receipts`, `redactions`, `scrub` and `find-subject`."""

import sys
from base64 import b64encode
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.output import AsJson, count, note, note_residue, say, show_json, show_table
from strandline.cli.progress import meter
from strandline.cli.session import discover_projections, open_store

if TYPE_CHECKING:
    from strandline.consumer.erasure.expunge import Expunged
    from strandline.consumer.erasure.probe import Residue
    from strandline.consumer.erasure.receipt_chain import Receipt
    from strandline.consumer.erasure.receipt_check import ReceiptCheck
    from strandline.consumer.erasure.scrub import Scrubbed

redactions = typer.Typer(
    help="The register of redactions: from one store to a fresh one; and making deleted bytes go.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
RegisterFile = Annotated[Path, typer.Argument(help="The register's file.", metavar="FILE")]


def receipts(
    document: Annotated[str | None, typer.Option(help="Only this document's.", metavar="ID")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the receipts' chain, and look for the data again in every store.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """What was erased where, when, how far and how that was checked."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.receipt_chain import read_receipts
    from strandline.consumer.erasure.receipt_check import check_receipts
    from strandline.consumer.generations.stores import open_stores

    projections = discover_projections()
    with open_store() as (settings, url), connect(url) as connection:
        checked = check_receipts(connection, projections, open_stores(settings, url)) if verify else None
        found = list(read_receipts(connection, document))
    if as_json:
        told: dict[str, object] = {"receipts": [{**one.content(), "hash": one.hash.hex()} for one in found]}
        show_json(told if checked is None else {**told, "verified": _checked_json(checked)})
    else:
        _say_receipts(found)
        if checked is not None:
            _say_checked(checked)
    return 0 if checked is None or checked.holds else 1


@redactions.command("export")
def export_register(file: RegisterFile, as_json: AsJson = False) -> int:
    """Write the register to a file: what was redacted, by its hash, free of data."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.register import read_register, write_file

    with open_store() as (_, url), connect(url) as connection:
        register = read_register(connection)
    write_file(register, file)
    if as_json:
        show_json({"file": str(file), "strand_id": register.strand_id, "redactions": len(register.entries)})
    else:
        say(f"Wrote {count(len(register.entries), 'redaction')} of strand {register.strand_id} to {file}.")
    return 0


@redactions.command("import")
def import_register(file: RegisterFile, as_json: AsJson = False) -> int:
    """Put a register into a fresh store: what it names is then taken in without its data, however old the export."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.register import import_register, read_file

    register = read_file(file)
    with open_store() as (settings, url), connect(url) as connection:
        new = import_register(connection, register, settings.origin)
    if as_json:
        show_json({"strand_id": register.strand_id, "redactions": len(register.entries), "new": new})
    else:
        say(f"Read {count(len(register.entries), 'redaction')} of strand {register.strand_id}; {new:,} were new.")
    return 0


@redactions.command("expunge")
def expunge(
    physical: Annotated[
        bool, typer.Option("--physical", help="Rewrite the tables too, so that the bytes are gone from their files.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(help="Begin no table or index after so long.")] = None,
    as_json: AsJson = False,
) -> int:
    """Make the rows that redactions deleted go from the stores' files, and the bytes of long-refused records."""
    from strandline.consumer.erasure.expunge import expunge
    from strandline.consumer.generations.stores import open_stores

    projections = discover_projections()
    with open_store() as (settings, url), meter() as shown:
        done = expunge(
            url,
            projections,
            stores=open_stores(settings, url),
            physical=physical,
            rejected_days=settings.rejected_days,
            seconds=seconds,
            progress=shown.report,
        )
    if as_json:
        show_json({"level": "physical" if physical else "expunged", **_expunged_json(done)})
    else:
        _say_expunged(done, "physical" if physical else "expunged")
    return 1 if done.skipped or done.residue else 0


def scrub(
    source: Annotated[str, typer.Argument(help="An export: a folder or a manifest.", metavar="SOURCE")],
    destination: Annotated[Path, typer.Argument(help="A new or empty folder for the copy.", metavar="DEST")],
    as_json: AsJson = False,
) -> int:
    """Copy an export with every known redaction applied; the copy verifies, and has the same digest."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.register import READ_REGISTER
    from strandline.consumer.erasure.scrub import scrub_export
    from strandline.consumer.mark.mark import read_mark

    with open_store() as (settings, url), meter() as shown:
        with connect(url) as connection:
            strand_id = read_mark(connection).strand_id
            rows = connection.execute(READ_REGISTER).fetchall()
        register = {(document_id, version): data_hash for document_id, version, *_, data_hash in rows}
        done = scrub_export(
            source,
            destination,
            strand_id=strand_id,
            register=register,
            workers=settings.workers,
            progress=shown.report,
        )
    if as_json:
        show_json(_scrubbed_json(done))
    else:
        _say_scrubbed(done, destination)
    return 0


def find_subject(
    field: Annotated[str, typer.Argument(help="A declared field, such as email or Contact.email.", metavar="FIELD")],
    value: Annotated[str, typer.Argument(help="Its value; - reads it from standard input.", metavar="VALUE")],
    as_json: AsJson = False,
) -> int:
    """Where a person is: documents, versions, their states, and the read models that have rows of them."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.subjects import find_subject, identifier_fields

    projections = discover_projections()
    if value == "-":
        value = sys.stdin.readline().removesuffix("\n")
    with open_store() as (settings, url), connect(url) as connection:
        fields = identifier_fields(projections.values(), settings.subject_fields)
        found = find_subject(connection, fields, field, value)
    if as_json:
        show_json({"field": field, "versions": [asdict(one) for one in found]})
    elif not found:
        say(f"No revision with data has that value in {field}.")
    else:
        show_table(
            ("table", "document", "version", "block", "state", "time", "has the value", "read models"),
            [
                (
                    one.table,
                    one.document_id,
                    str(one.version),
                    one.sequence_no,
                    one.state,
                    one.tx_time,
                    "yes" if one.matches else "",
                    ", ".join(one.read_models),
                )
                for one in found
            ],
        )
    return 0


def _checked_json(checked: "ReceiptCheck") -> dict[str, object]:
    return {
        "ok": checked.holds,
        "receipts": checked.receipts,
        "broken_at": checked.broken_at,
        "unsearched": checked.unsearched,
        "residue": [_residue_json(one) for one in checked.residue],
    }


def _residue_json(one: "Residue") -> dict[str, object]:
    return {"where": one.where, "documentId": one.document_id, "version": one.version}


def _say_receipts(found: "list[Receipt]") -> None:
    if not found:
        say("There are no receipts.")
        return
    told = [one.content() for one in found]
    show_table(
        ("receipt", "document", "version", "block", "redacted by", "store", "level", "found", "issued at"),
        [
            (
                one["receipt"],
                one["documentId"],
                str(one["version"]),
                one["blockAddress"]["sequenceNo"],
                one["redactedBy"],
                one["store"],
                one["level"],
                one["found"],
                one["issuedAt"],
            )
            for one in told
        ],
    )


def _say_checked(checked: "ReceiptCheck") -> None:
    if checked.broken_at is not None:
        note(f"The chain of receipts is broken at receipt {checked.broken_at}.")
    note_residue(checked.residue)
    for store in checked.unsearched:
        note(f"Not searched: {store}, which has read models and is off: set STRANDLINE_OPENSEARCH_URL.")
    if checked.holds:
        say(f"{count(checked.receipts, 'receipt')}: their chain holds, and nothing that they name is there again.")


def _expunged_json(done: "Expunged") -> dict[str, object]:
    return {
        "redactions": done.redactions,
        "receipts": done.receipts,
        "rejected_purged": done.rejected_purged,
        "tables": [asdict(one) for one in done.cleaned],
        "skipped": [asdict(one) for one in done.skipped],
        "residue": [_residue_json(one) for one in done.residue],
    }


def _say_expunged(done: "Expunged", level: str) -> None:
    if done.rejected_purged:
        say(f"Purged the bytes of {count(done.rejected_purged, 'refused record')}.")
    if not done.redactions and not done.cleaned:
        say(f"Every redaction that is hidden is {level} already.")
        return
    say(f"Cleaned {len(done.cleaned):,} tables and indexes; wrote {count(done.receipts, 'receipt')}.")
    for one in done.skipped:
        note(f"Skipped: {one.table}: {one.reason}. No receipt of this level is issued until you run the command again.")
    note_residue(done.residue)


def _scrubbed_json(done: "Scrubbed") -> dict[str, object]:
    found = done.verification
    return {
        "objects": done.objects,
        "changed": done.changed,
        "manifests": done.manifests,
        "left_out": done.left_out,
        "redactions": done.redactions,
        "blocks": found.blocks,
        "revisions": found.revisions,
        "level": found.level,
        "digest": b64encode(found.digest).decode() if found.digest is not None else None,
        "tip": found.last_no,
    }


def _say_scrubbed(done: "Scrubbed", destination: Path) -> None:
    say(
        f"Copied {count(done.objects, 'object')} ({done.changed:,} changed) and {count(done.manifests, 'manifest')} "
        f"to {destination}: {count(done.redactions, 'redaction')} known of."
    )
    if done.left_out:
        say(f"Not copied: {count(done.left_out, 'file')} that are neither an object nor a manifest.")
    say("The copy verifies, and is the same chain of blocks.")
