"""Current balance of each account of the wallet: restricted."""

from strandline import Column, Revision, RowProjection, Rows, Unprojectable


def rows(revision: Revision) -> Rows:
    balance = revision.number("balance")
    if balance is None:
        raise Unprojectable("balance is missing or no number")
    yield {"account_id": revision.required_text("accountId"), "balance": balance, "moved_at": revision.tx_time}


PROJECTION = RowProjection(
    name="wallet_balance",
    purpose="What each account holds now, for those who answer for it.",
    tables=("Wallet",),
    keeps="current",
    readers="cleared",
    columns=(
        Column("account_id", "text", "The account; two documents may claim one."),
        Column("balance", "numeric", "Its balance."),
        Column("moved_at", "timestamptz", "When it last changed."),
    ),
    rows=rows,
    indexes=(("account_id",),),
    subjects=("Wallet.accountId",),
)
