"""The command `simulate`: writes a sample journal as an export and as stream records."""

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json, show_table
from strandline.cli.progress import Counter, labelled, meter
from strandline.journal.make.export import Format
from strandline.journal.simulation.ledgers import LEDGERS, LedgerName

if TYPE_CHECKING:
    from strandline.journal.simulation.strand import Simulated


def simulate(
    directory: Annotated[Path, typer.Argument(help="A new or empty folder to write to.", metavar="DIR")],
    blocks: Annotated[int, typer.Option(help="How many blocks, the system's too.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same journal.")] = 1,
    format: Annotated[Format, typer.Option(help="The exports' format.")] = Format.ION_TEXT,
    ledger: Annotated[LedgerName, typer.Option(help="Which made-up ledger.")] = LedgerName.LICENSING,
    redactions: Annotated[
        float | None, typer.Option(help="The share of blocks that redact; 0.08 for licensing, else 0, unless given.")
    ] = None,
    stream: Annotated[
        str | None, typer.Option(help="Put its stream records into this Kinesis stream, too.", metavar="NAME")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write a valid journal of a made-up ledger, as exports and as stream records."""
    made = simulated(directory, blocks, seed, format, redactions, ledger)
    fed = None if stream is None else _feed(stream, directory / "stream")
    summary = {
        "directory": str(directory),
        "strand_id": made.strand_id,
        "blocks": made.blocks,
        "revisions": made.revisions,
        "redactions": made.redactions,
        "deletions": made.deletions,
        "digest": b64encode(made.digest).decode(),
        "tip": made.tip,
    }
    if fed is not None:
        summary["records_streamed"] = fed
    if as_json:
        show_json(summary)
    else:
        show_table(("", ""), [(name, str(value)) for name, value in summary.items()])
        say(f"Its exports are in full/, early/ and late/ of {directory}, its stream records in stream/.")
    return 0


def simulated(
    directory: Path,
    blocks: int,
    seed: int,
    format: Format,
    redactions: float | None = None,
    ledger: LedgerName = LedgerName.LICENSING,
) -> "Simulated":
    """A simulated journal written into the folder, with progress."""
    from strandline.journal.simulation.simulate import simulate

    with meter("block writes") as shown:
        return simulate(directory, blocks, seed, format, redactions, labelled(shown, "simulating"), LEDGERS[ledger])


def _feed(stream: str, folder: Path) -> int:
    """Put the raw records of a folder into a Kinesis stream; gives the number of user records."""
    from strandline.ledger.publish.kinesis import archived, feed

    with meter("records") as shown:
        return feed(stream, archived(folder), Counter(shown, f"streaming to {stream}", None))
