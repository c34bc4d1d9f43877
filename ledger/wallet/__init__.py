"""Financial accounts on the ledger that goes on: a document an account, a revision a movement."""

from strandline.ledger.wallet.accounts import Balance, Movement, Wallet

__all__ = ["Balance", "Movement", "Wallet"]
