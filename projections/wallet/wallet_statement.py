"""Every movement on the wallet's accounts, with the balance after it: restricted."""

from strandline import Column, Revision, RowProjection, Rows


def rows(revision: Revision) -> Rows:
    yield {
        "account_id": revision.text("accountId"),
        "moved_at": revision.tx_time,
        "state": revision.state,
        "type": revision.text("txType"),
        "amount": revision.number("txAmount"),
        "balance": revision.number("balance"),
        "source": revision.text("txFrom"),
        "destination": revision.text("txTo"),
        "request_id": revision.text("txRequestId"),
    }


PROJECTION = RowProjection(
    name="wallet_statement",
    purpose="Every movement with the balance after it, for statements of account and audits.",
    tables=("Wallet",),
    keeps="history",
    readers="cleared",
    columns=(
        Column("account_id", "text", "The account; like all that follows from data, empty where erased."),
        Column("moved_at", "timestamptz", "When it was moved."),
        Column("state", "text", "normal, redacted, or deleted: what ended the account."),
        Column("type", "text", "CreateAccount, AddFunds or WithdrawFunds."),
        Column("amount", "numeric", "What was moved; empty where the ledger has no number."),
        Column("balance", "numeric", "The account's balance after it."),
        Column("source", "text", "The account that it came from; empty for one outside the wallet."),
        Column("destination", "text", "The account that it went to; empty for one outside the wallet."),
        Column("request_id", "text", "The request that moved it, once."),
    ),
    rows=rows,
    indexes=(("account_id", "moved_at"),),
    subjects=("Wallet.accountId",),
)
