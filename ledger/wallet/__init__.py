"""The wallet: financial accounts in the ledger. An account is a document, a movement is a revision."""

from strandline.ledger.wallet.accounts import Balance, Movement, Wallet

__all__ = ["Balance", "Movement", "Wallet"]
