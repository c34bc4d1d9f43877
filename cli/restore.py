"""The command `restore`."""

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, say, show_json, show_table
from strandline.cli.progress import meter
from strandline.cli.texts import count
from strandline.journal.restore.budget import BUDGET

if TYPE_CHECKING:
    from strandline.consumer.restoration.export import Restoration
    from strandline.journal.restore.block import HeldOut

FIELDS_SHOWN = 20
_REASONS_SHOWN = 5

Hints = Annotated[
    list[str] | None,
    typer.Option("--hints", help="Types to try first: a hints file, DDL, or an Ion export.", metavar="FILE"),
]
Budget = Annotated[
    int, typer.Option(help="How many combinations of types to try for a document.", min=1, max=1_000_000)
]


def restore(
    source: Annotated[str, typer.Argument(help="A JSON export: a folder, a manifest or s3://…", metavar="SOURCE")],
    destination: Annotated[Path, typer.Argument(help="A new or empty folder for the copy.", metavar="DEST")],
    hints: Hints = None,
    budget: Budget = BUDGET,
    as_json: AsJson = False,
) -> int:
    """Copy a JSON export as Ion, with the types that JSON lost. Resumes.

    A block becomes Ion only if its hashes confirm the types. Exit status: 0 all blocks are Ion, 1 some stay JSON.
    """
    from strandline.consumer.intake.sources import open_sources
    from strandline.consumer.restoration.export import restore_export
    from strandline.consumer.restoration.hint_files import open_hints
    from strandline.consumer.settings import load_settings

    opened = open_hints(hints or [])
    with meter("objects") as shown:
        done = restore_export(
            open_sources([source]),
            destination,
            hints=opened,
            workers=load_settings().workers,
            budget=budget,
            progress=shown.report,
        )
    if as_json:
        show_json(_json(done))
    else:
        _say(done, destination)
    return 0 if done.complete else 1


def held_out_fields(held_out: "Sequence[HeldOut]") -> list[tuple[str, str, int]]:
    """Return table, field and number of documents for what holds out, the most frequent first."""
    counts = Counter((one.table, path) for one in held_out for path in one.fields)
    return [(table, path, number) for (table, path), number in counts.most_common()]


def _json(done: "Restoration") -> dict[str, object]:
    found = done.after
    return {
        "objects": done.objects,
        "objects_resumed": done.resumed,
        "blocks": done.blocks,
        "blocks_restored": done.restored,
        "lifted": dict(sorted(done.lifted.items())),
        "kept_back": dict(sorted(done.kept_back.items())),
        "held_out": len(done.held_out),
        "held_out_fields": [
            {"table": table, "field": path, "documents": number}
            for table, path, number in held_out_fields(done.held_out)
        ],
        "held_out_reasons": dict(Counter(one.reason for one in done.held_out)),
        "combinations_tried": done.tried,
        "level": found.level,
        "digest": b64encode(found.digest).decode() if found.digest is not None else None,
        "tip": found.last_no,
    }


def _say(done: "Restoration", destination: Path) -> None:
    lifted = sum(done.lifted.values())
    say(
        f"Restored {done.restored:,} of {count(done.blocks, 'block')} to {destination}: "
        f"{count(lifted, 'revision')} with the types they had, confirmed by their hashes."
    )
    show_table(("table", "revisions lifted"), sorted(done.lifted.items()))
    if done.held_out:
        note(f"{count(done.blocks - done.restored, 'block')} stay JSON; {count(len(done.held_out), 'part')} hold out.")
        for reason, number in Counter(one.reason for one in done.held_out).most_common(_REASONS_SHOWN):
            note(f"  {number:,}: {reason}")
        fields = held_out_fields(done.held_out)
        show_table(("table", "field that holds out", "documents"), fields[:FIELDS_SHOWN])
        if len(fields) > FIELDS_SHOWN:
            note(f"… and {len(fields) - FIELDS_SHOWN:,} more fields; --json lists all.")
        if kept_back := sum(done.kept_back.values()):
            note(f"{count(kept_back, 'revision')} were found, but stay JSON with the rest of their blocks.")
        note("Name their types in a hints file (--hints), or raise --budget, and restore the copy into a new folder.")
    level = "VERIFIED: every hash and link holds" if done.after.level == "full" else "Verified at level chain"
    digest = f"; digest {b64encode(done.after.digest).decode()}, as before" if done.after.digest is not None else ""
    say(f"{level}{digest}.")
