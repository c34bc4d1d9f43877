"""Amounts of money: exact decimals, written as decimal strings, in the currency of the wallet."""

import re
from decimal import Decimal

from strandline.ledger.wallet.problems import WrongRequest

MOST_DIGITS, MOST_DECIMALS = 15, 4  # ISO 4217's currencies have 4 decimals at most
MOST_BALANCE = Decimal(10) ** 18
_AMOUNT = re.compile(rf"[0-9]{{1,{MOST_DIGITS}}}(?:\.[0-9]{{1,{MOST_DECIMALS}}})?")


def read_amount(text: object) -> Decimal:
    """Return a positive amount. Raises WrongRequest."""
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
        raise WrongRequest(
            f'amount must be a decimal string such as "12.50": at most {MOST_DIGITS} digits before the point and '
            f"{MOST_DECIMALS} after it, without a sign or an exponent"
        )
    amount = Decimal(text)
    if amount == 0:
        raise WrongRequest("amount must be more than zero")
    return amount


def show_amount(amount: Decimal) -> str:
    return format(amount, "f")
