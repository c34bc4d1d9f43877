"""Runs statements in transactions of their own."""

from typing import Any

from strandline.ledger import Ledger
from strandline.ledger.errors import Conflict

VEHICLES = """INSERT INTO Vehicle <<
    {'VIN': 'V1', 'make': 'Ada', 'year': 2001, 'price': 10.50, 'owners': [{'id': 'G1'}, {'id': 'G2'}]},
    {'VIN': 'V2', 'make': 'Bee', 'year': 2002.0, 'price': 20, 'owners': [{'id': 'G2'}], 'built': `2002-05-01T`},
    {'VIN': `V3`, 'make': null, 'year': `2003e0`, 'owners': [], 'built': `2002-05-01T00:00:00Z`} >>"""


def run(ledger: Ledger, text: str, *parameters: Any) -> list[Any]:
    """The rows of a statement, committed; again after a conflict with tables that another process defined."""
    try:
        return _once(ledger, text, *parameters)
    except Conflict:
        return _once(ledger, text, *parameters)


def _once(ledger: Ledger, text: str, *parameters: Any) -> list[Any]:
    with ledger.begin() as transaction:
        rows = list(transaction.execute(text, *parameters))
        transaction.commit()
    return rows


def plan(ledger: Ledger, text: str) -> list[str]:
    with ledger.begin() as transaction:
        return transaction.explain(text)
