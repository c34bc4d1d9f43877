"""The command `digest`: the digest of the journal in the store."""

from base64 import b64encode
from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.progress import labelled, meter
from strandline.cli.session import open_store


def digest(
    tip: Annotated[
        int | None, typer.Option(help="The last block that the digest covers; the mark unless given.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """The digest of the journal in the store, as QLDB would have given it."""
    from strandline.consumer.verification.digest import store_digest

    with open_store() as (_, url), meter() as shown:
        found = store_digest(url, tip, progress=labelled(shown, "digest"))
    text = b64encode(found.digest).decode()
    if as_json:
        show_json({"digest": text, "tip": found.tip, "strand_id": found.strand_id})
    else:
        say(f"digest  {text}")
        say(f"tip     block {found.tip} of strand {found.strand_id}")
    return 0
