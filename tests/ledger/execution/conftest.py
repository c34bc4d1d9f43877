"""A ledger with vehicles and their owners, who are invented."""

import pytest

from strandline.ledger import Ledger
from tests.ledger.execution.statements import VEHICLES, run


@pytest.fixture
def vehicles(ledger: Ledger) -> Ledger:
    with ledger.begin() as transaction:
        for table in ("Vehicle", "Owner"):
            list(transaction.execute(f"CREATE TABLE {table}"))
        list(transaction.execute("CREATE INDEX ON Vehicle (VIN)"))
        list(transaction.execute("CREATE INDEX ON Owner (GovId)"))
        transaction.commit()
    run(ledger, VEHICLES)
    run(ledger, "INSERT INTO Owner << {'GovId': 'G1', 'name': 'Ann'}, {'GovId': 'G2', 'name': 'Bob'} >>")
    return ledger
