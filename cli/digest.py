"""The command `digest`."""

from base64 import b64encode
from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.progress import labelled, meter
from strandline.cli.session import open_store


def digest(
    tip: Annotated[int | None, typer.Option(help="The last block that the digest covers. Default: the mark.")] = None,
    as_json: AsJson = False,
) -> int:
    """Compute the digest of the stored journal, as QLDB did. Checks links, not data."""
    from strandline.consumer.verification.digest import store_digest

    with open_store() as (_, url), meter() as shown:
        result = store_digest(url, tip, progress=labelled(shown, "digest"))
    text = b64encode(result.digest).decode()
    if as_json:
        show_json(result.as_dict())
    else:
        say(f"digest  {text}")
        say(f"tip     block {result.tip} of strand {result.strand_id}")
        say("Computed from the links between blocks. Their contents were not checked: `strandline verify` does that.")
        if result.graft is not None and result.tip >= result.graft:
            say(f"QLDB did not give this digest: Strandline wrote blocks {result.graft:,} and later.")
    return 0
