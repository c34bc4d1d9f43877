"""The command `simulate`."""

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.progress import Counter, labelled, meter
from strandline.journal.make.format import Format
from strandline.journal.simulation.names import LedgerName

if TYPE_CHECKING:
    from strandline.journal.simulation.strand import Simulated


def simulate(
    directory: Annotated[Path, typer.Argument(help="A new or empty folder to write to.", metavar="DIR")],
    blocks: Annotated[int, typer.Option(help="The number of blocks, system blocks included.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same journal.")] = 1,
    format: Annotated[Format, typer.Option(help="The exports' format.")] = Format.ION_TEXT,
    sample: Annotated[LedgerName, typer.Option(help="The sample ledger.")] = LedgerName.LICENSING,
    redactions: Annotated[
        float | None, typer.Option(help="The share of blocks that redact. Default: 0.08 for licensing, else 0.")
    ] = None,
    stream: Annotated[
        str | None, typer.Option(help="Also put the stream records into this Kinesis stream.", metavar="NAME")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write a sample ledger's journal, as exports and stream."""
    made = write_journal(directory, blocks, seed, format, redactions, sample)
    streamed = None if stream is None else _feed(stream, directory / "stream")
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
    if streamed is not None:
        summary["records_streamed"] = streamed
    if as_json:
        show_json(summary)
    else:
        for name, value in summary.items():
            say(f"{name:<17} {value}")
        say(f"Exports: full/, early/ and late/ in {directory}. Stream records: stream/.")
    return 0


def write_journal(
    directory: Path,
    blocks: int,
    seed: int,
    format: Format,
    redactions: float | None = None,
    ledger: LedgerName = LedgerName.LICENSING,
) -> "Simulated":
    """Write a simulated journal into the folder, with progress."""
    from strandline.journal.simulation.ledgers import LEDGERS
    from strandline.journal.simulation.simulate import simulate

    with meter("block writes") as shown:
        return simulate(directory, blocks, seed, format, redactions, labelled(shown, "simulating"), LEDGERS[ledger])


def _feed(stream: str, folder: Path) -> int:
    """Put the raw records of a folder into a Kinesis stream. Returns the number of user records."""
    from strandline.ledger.publish.kinesis import archived, feed

    with meter("records") as shown:
        return feed(stream, archived(folder), Counter(shown, f"streaming to {stream}", None))
