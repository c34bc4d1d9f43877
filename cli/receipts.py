"""The command `receipts`."""

from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, say, show_json, show_table
from strandline.cli.session import discover_projections, open_store
from strandline.cli.texts import count, note_residue
from strandline.journal.errors import UsageError

if TYPE_CHECKING:
    from strandline.consumer.erasure.receipt_chain import Receipt
    from strandline.consumer.erasure.receipt_check import ReceiptCheck

# How a redaction found the data, in the words of the table.
DATA = {
    "data": ("erased", "the data was stored here and was erased"),
    "redacted": ("redacted", "the source had no data any more"),
    "not held": ("absent", "the revision was never stored here"),
}


def receipts(
    document: Annotated[str | None, typer.Option(help="Only the receipts of this document.", metavar="ID")] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Check the chain of receipts, and probe every store for the erased data."),
    ] = False,
    head: Annotated[
        bool, typer.Option("--head", help="Print the head of the chain, for somebody outside to keep.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(help="With --verify: a head kept outside, which the chain must contain.", metavar="COUNT:HASH"),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List what was erased, where, when and how checked."""
    from strandline.consumer.database.connection import AUDITOR, OPERATOR, connect
    from strandline.consumer.erasure.receipt_chain import parse_head, read_head, read_receipts
    from strandline.consumer.erasure.receipt_check import check_receipts
    from strandline.consumer.generations.stores import open_stores

    saved = None if since is None else parse_head(since)
    if saved is not None and not verify:
        raise UsageError("--since is only used with --verify: add it.")
    if head:
        with open_store() as (_, url), connect(url, role=OPERATOR) as connection:
            last = read_head(connection)
        if as_json:
            show_json({"head": str(last), "receipts": last.number, "hash": last.hash.hex()})
        else:
            say(str(last))
        return 0
    projections = discover_projections()
    # A probe looks for the data itself.
    role = AUDITOR if verify else OPERATOR
    with open_store() as (settings, url), connect(url, role=role) as connection:
        checked = check_receipts(connection, projections, open_stores(settings, url), saved) if verify else None
        issued = list(read_receipts(connection, document))
    if as_json:
        listed: dict[str, object] = {"receipts": [one.as_dict() for one in issued]}
        show_json(listed if checked is None else {**listed, "verified": checked.as_dict()})
    else:
        _say_receipts(issued)
        if checked is not None:
            _say_checked(checked)
    return 0 if checked is None or checked.holds else 1


def _say_receipts(issued: "list[Receipt]") -> None:
    if not issued:
        say("There are no receipts.")
        return
    bodies = [one.content() for one in issued]
    with_store = len({body["store"] for body in bodies}) > 1
    show_table(
        ("no.", "document", "version", "level", *(["store"] if with_store else []), "data", "issued"),
        [
            (
                body["receipt"],
                body["documentId"],
                str(body["version"]),
                body["level"],
                *([body["store"]] if with_store else []),
                DATA[body["found"]][0],
                body["issuedAt"][:10],
            )
            for body in bodies
        ],
    )
    for word, meaning in (DATA[found] for found in sorted({body["found"] for body in bodies})):
        say(f"{word}: {meaning}.")
    say("Blocks and times: `strandline receipts --json`. To check them: `strandline receipts --verify`.")


def _say_checked(checked: "ReceiptCheck") -> None:
    if checked.broken_at is not None:
        note(f"The chain of receipts is broken at receipt {checked.broken_at:,}: {checked.reason}.")
    if checked.without_receipt:
        without = count(checked.without_receipt, "applied redaction")
        note(f"Without receipt: {without}. Run `strandline project`, then this again.")
    note_residue(checked.residue)
    for store in checked.unsearched:
        note(f"Not probed: {store} has read models but is off. Set STRANDLINE_OPENSEARCH_URL and run this again.")
    if checked.holds:
        say(f"Verified {count(checked.receipts, 'receipt')}: the chain holds, and no store has the erased data.")
        say(f"Head {checked.head}: give it to somebody outside, who can check later that none is missing (--since).")
