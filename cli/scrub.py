"""The command `scrub`."""

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.progress import meter
from strandline.cli.session import open_store
from strandline.cli.texts import count

if TYPE_CHECKING:
    from strandline.consumer.erasure.scrub import Scrubbed


def scrub(
    source: Annotated[str, typer.Argument(help="An export: a folder or a manifest.", metavar="SOURCE")],
    destination: Annotated[Path, typer.Argument(help="A new or empty folder for the copy.", metavar="DEST")],
    as_json: AsJson = False,
) -> int:
    """Copy an export without redacted data.

    The copy verifies and has the same digest.
    """
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
        f"to {destination}: {count(done.redactions, 'known redaction')}."
    )
    if done.left_out:
        say(f"Skipped {count(done.left_out, 'file')}: neither an object nor a manifest.")
    say("The copy verifies and has the same chain of blocks.")
