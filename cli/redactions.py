"""The commands `redactions export`, `redactions import` and `redactions expunge`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, say, show_json
from strandline.cli.progress import meter
from strandline.cli.session import discover_projections, open_store
from strandline.cli.texts import count, note_residue

if TYPE_CHECKING:
    from strandline.consumer.erasure.expunge import Expunged

redactions = typer.Typer(
    help="Export and import the register; expunge deleted bytes.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
RegisterFile = Annotated[Path, typer.Argument(help="The register's file.", metavar="FILE")]


@redactions.command("export")
def export_register(file: RegisterFile, as_json: AsJson = False) -> int:
    """Write the register of redactions to a file.

    It names documents, versions and hashes, and holds no data.
    """
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
    """Import a register of redactions into a new store.

    Revisions that it names are then stored without their data, even from an export made before the redaction. An entry
    that the journal contradicts stops the mark.
    """
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.register import import_register, read_file

    register = read_file(file)
    with open_store() as (settings, url), connect(url) as connection:
        new = import_register(connection, register, settings.origin)
    if as_json:
        show_json(
            {
                "strand_id": register.strand_id,
                "redactions": len(register.entries),
                "new": new,
                "confirmed_by": register.last_redacting_block,
            }
        )
    else:
        say(f"Read {count(len(register.entries), 'redaction')} of strand {register.strand_id}; {new:,} were new.")
        if register.last_redacting_block is not None:
            say(
                f"They are unconfirmed until the journal itself shows them, through block "
                f"{register.last_redacting_block:,}. Only import a register that you trust."
            )
    return 0


@redactions.command("expunge")
def expunge(
    physical: Annotated[
        bool, typer.Option("--physical", help="Also rewrite the tables, so that the bytes leave their files.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(help="Start no further table or index after this time.")] = None,
    as_json: AsJson = False,
) -> int:
    """Remove deleted rows and old rejected bytes from the files."""
    from strandline.consumer.erasure.expunge import expunge
    from strandline.consumer.generations.stores import open_stores

    projections = discover_projections()
    with open_store() as (settings, url), meter("tables") as shown:
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


def _expunged_json(done: "Expunged") -> dict[str, object]:
    return {
        "redactions": done.redactions,
        "receipts": done.receipts,
        "rejected_purged": done.rejected_purged,
        "tables": [asdict(one) for one in done.cleaned],
        "skipped": [asdict(one) for one in done.skipped],
        "residue": [one.as_dict() for one in done.residue],
    }


def _say_expunged(done: "Expunged", level: str) -> None:
    if done.rejected_purged:
        say(f"Purged the bytes of {count(done.rejected_purged, 'rejected record')}.")
    if not done.redactions and not done.cleaned:
        say(f"Nothing to do: every hidden redaction is already {level}.")
        return
    say(f"Cleaned {len(done.cleaned):,} tables and indexes; issued {count(done.receipts, 'receipt')}.")
    for one in done.skipped:
        note(f"Skipped {one.table}: {one.reason}. No receipt of this level until it is cleaned: run the command again.")
    note_residue(done.residue)
