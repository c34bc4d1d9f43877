"""The command `partiql`."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json
from strandline.cli.session import open_store

if TYPE_CHECKING:
    from strandline.ledger import Ledger

RETRIES = 4


def partiql(
    statements: Annotated[list[str], typer.Argument(help="Statements of one transaction.", metavar="STATEMENT…")],
    explain: Annotated[bool, typer.Option("--explain", help="Show how documents would be found.")] = False,
    as_json: AsJson = False,
) -> int:
    """Run statements of PartiQL as a transaction.

    Prints a row as Ion text a line. A transaction is a block of the journal, also if it only reads.
    """
    from strandline.journal.ion import values as ion
    from strandline.journal.ion.json import to_json
    from strandline.ledger import Ledger

    with open_store() as (_, url), Ledger(url) as ledger:
        if explain:
            with ledger.begin() as transaction:
                plans = [transaction.explain(one) for one in statements]
            if as_json:
                show_json({"plans": plans})
            for plan in () if as_json else plans:
                for line in plan:
                    say(line)
            return 0
        rows, transaction_id, number = run_transaction(ledger, statements)
    if as_json:
        shown = [[json.loads(to_json(row)) for row in one] for one in rows]
        show_json({"rows": shown, "transaction": transaction_id, "block": number})
    else:
        for row in (row for one in rows for row in one):
            say(ion.write_text(row))
    return 0


def run_transaction(ledger: "Ledger", statements: Sequence[str]) -> tuple[list[list[Any]], str, int | None]:
    """Run statements as a transaction, again after a conflict. Returns the rows of each, the transaction's id and its
    block."""
    from strandline.ledger.errors import Conflict

    for attempt in range(RETRIES + 1):
        try:
            with ledger.begin() as transaction:
                rows = [list(transaction.execute(one)) for one in statements]
                return rows, transaction.transaction_id, transaction.commit()
        except Conflict:
            if attempt == RETRIES:
                raise
    raise AssertionError
