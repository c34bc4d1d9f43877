"""Movements to search and add up by type, time and amount, in OpenSearch; nothing in it says whose they are."""

from strandline import Column, Revision, RowProjection, Rows


def rows(revision: Revision) -> Rows:
    amount = revision.number("txAmount")
    if amount is not None:
        yield {"type": revision.text("txType"), "moved_at": revision.tx_time, "amount": amount}


PROJECTION = RowProjection(
    name="wallet_search",
    purpose="Movements by type, time and amount, for statistics and for spotting odd ones; without accounts.",
    tables=("Wallet",),
    keeps="history",
    readers="analysts",
    store="opensearch",
    columns=(
        Column("type", "text", "CreateAccount, AddFunds or WithdrawFunds."),
        Column("moved_at", "timestamptz", "When it was moved."),
        Column("amount", "numeric", "What was moved."),
    ),
    rows=rows,
)
