"""A ledger in a fresh database."""

from collections.abc import Iterator

import pytest

from strandline.ledger import Ledger


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    with Ledger(database) as ledger:
        yield ledger


@pytest.fixture
def licences(ledger: Ledger) -> Ledger:
    """One with a table Licence, indexed by licenceId."""

    def create(transaction):  # type: ignore[no-untyped-def]
        transaction.create_table("Licence")
        transaction.create_index("Licence", "licenceId")

    ledger.execute(create)
    return ledger
