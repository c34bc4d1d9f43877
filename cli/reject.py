"""The command `reject`."""

from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.session import open_store
from strandline.cli.texts import count
from strandline.journal.errors import UsageError


def reject(
    block: Annotated[int, typer.Argument(help="The block's sequence number.", metavar="BLOCK")],
    block_hash: Annotated[str, typer.Argument(help="Its blockHash, in hexadecimal.", metavar="HASH")],
    reason: Annotated[str, typer.Option(help="Why it is no block of this journal. No personal data.")],
    as_json: AsJson = False,
) -> int:
    """Reject a block above the mark for good.

    Blocks that descend from it are rejected, too. Intake refuses every further copy of it.
    """
    from strandline.consumer.database.connection import connect
    from strandline.consumer.mark.orphans import reject_block

    try:
        digest = bytes.fromhex(block_hash)
    except ValueError:
        raise UsageError("HASH is not hexadecimal: copy it as it is shown.") from None
    with open_store() as (_, url), connect(url) as connection:
        refused = reject_block(connection, block, digest, reason)
    blocks = sorted({one.sequence_no for one in refused if one.sequence_no is not None})
    if as_json:
        show_json({"rejected": blocks, "reason": reason.strip()})
    else:
        say(f"Rejected {count(len(refused), 'block')}, from block {blocks[0]:,} on.")
    return 0
