"""The command `receipts`."""

from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, say, show_json, show_table
from strandline.cli.session import discover_projections, open_store
from strandline.cli.texts import count, found_json, note_found

if TYPE_CHECKING:
    from strandline.consumer.erasure.receipts import Checked, Receipt


def receipts(
    document: Annotated[str | None, typer.Option(help="Only this document's.", metavar="ID")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the receipts' chain, and look for the data again in every store.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """What was erased where, when, how far and how that was checked."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.receipts import check_receipts, read_receipts
    from strandline.consumer.generations.stores import open_stores

    projections = discover_projections()
    with open_store() as (settings, url), connect(url) as connection:
        checked = check_receipts(connection, projections, open_stores(settings, url)) if verify else None
        found = list(read_receipts(connection, document))
    if as_json:
        told: dict[str, object] = {"receipts": [{**one.told, "hash": one.hash.hex()} for one in found]}
        show_json(told if checked is None else {**told, "verified": _checked_json(checked)})
    else:
        _say_receipts(found)
        if checked is not None:
            _say_checked(checked)
    return 0 if checked is None or checked.holds else 1


def _checked_json(checked: "Checked") -> dict[str, object]:
    return {
        "ok": checked.holds,
        "receipts": checked.receipts,
        "broken_at": checked.broken_at,
        "unasked": checked.unasked,
        "found": [found_json(one) for one in checked.found],
    }


def _say_receipts(found: "list[Receipt]") -> None:
    if not found:
        say("There are no receipts.")
        return
    told = [one.told for one in found]
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


def _say_checked(checked: "Checked") -> None:
    if checked.broken_at is not None:
        note(f"The chain of receipts is broken at receipt {checked.broken_at}.")
    note_found(checked.found)
    for store in checked.unasked:
        note(f"Not asked: {store}, which is off, and has read models (STRANDLINE_OPENSEARCH_URL).")
    if checked.holds:
        say(f"{count(checked.receipts, 'receipt')}: their chain holds, and nothing that they name is there again.")
