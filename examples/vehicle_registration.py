"""A register of vehicles and their owners, by QLDB's driver for Python: joins, nested lists, history.

python vehicle_registration.py LEDGER. Prints what it found as JSON. The people are made up.
"""

import json
import sys
from typing import Any

from pyqldb.driver.qldb_driver import QldbDriver

INDEXES = {"Person": "govId", "Vehicle": "vin", "Registration": "vin", "DriversLicence": "licenceNumber"}
PEOPLE = [
    {"govId": "GOV-1", "firstName": "Ada", "lastName": "Example"},
    {"govId": "GOV-2", "firstName": "Bob", "lastName": "Sample"},
    {"govId": "GOV-3", "firstName": "Cleo", "lastName": "Specimen"},
]
VEHICLES = [
    {"vin": "VIN-0001", "make": "Arden", "model": "A1", "built": 2011},
    {"vin": "VIN-0002", "make": "Beacon", "model": "B2", "built": 2019},
]


class NotTheOwner(Exception):
    pass


class Register:
    def __init__(self, driver: QldbDriver) -> None:
        self._driver = driver

    def create(self) -> None:
        for table, field in INDEXES.items():
            self._run(f"CREATE TABLE {table}")
            self._run(f"CREATE INDEX ON {table} ({field})")
        self._run("INSERT INTO Person ?", PEOPLE)
        self._run("INSERT INTO Vehicle ?", VEHICLES)

    def register(self, vin: str, owner: str) -> None:
        owners = {"primary": owner, "secondary": []}
        self._run("INSERT INTO Registration ?", {"vin": vin, "city": "Bath", "owners": owners})

    def add_secondary_owner(self, vin: str, person: str) -> None:
        self._run("FROM Registration AS r WHERE r.vin = ? INSERT INTO r.owners.secondary VALUE ?", vin, person)

    def transfer(self, vin: str, seller: str, buyer: str) -> None:
        """Change the owner, if the seller is the owner at the same time."""

        def work(txn: Any) -> None:
            found = list(txn.execute_statement("SELECT r.owners FROM Registration AS r WHERE r.vin = ?", vin))
            if not found or found[0]["owners"]["primary"] != seller:
                raise NotTheOwner(vin)
            txn.execute_statement("UPDATE Registration AS r SET r.owners.primary = ? WHERE r.vin = ?", buyer, vin)

        self._driver.execute_lambda(work)

    def vehicles_of(self, gov_id: str) -> list[str]:
        """Return the models that a person owns, first or second."""
        rows = self._run(
            "SELECT v.make, v.model FROM Registration AS r JOIN Vehicle AS v ON v.vin = r.vin "
            "WHERE r.owners.primary = ? OR ? IN r.owners.secondary",
            gov_id, gov_id,
        )  # fmt: skip
        return sorted(f"{row['make']} {row['model']}" for row in rows)

    def owners_over_time(self, vin: str) -> list[str]:
        (document,) = self._run("SELECT id FROM Registration AS r BY id WHERE r.vin = ?", vin)
        rows = self._run(
            "SELECT h.metadata.version, h.data.owners.primary AS owner FROM history(Registration) AS h "
            "WHERE h.metadata.id = ?",
            document["id"],
        )
        return [row["owner"] for row in sorted(rows, key=lambda row: row["version"])]

    def licence(self, gov_id: str, number: str) -> str:
        """Issue a licence for a person, unless it is there; renewing sets its date again."""

        def work(txn: Any) -> str:
            (person,) = txn.execute_statement("SELECT id FROM Person AS p BY id WHERE p.govId = ?", gov_id)
            query = "SELECT licenceNumber FROM DriversLicence WHERE licenceNumber = ?"
            if list(txn.execute_statement(query, number)):
                renew = "UPDATE DriversLicence AS d SET d.validTo = `2036-01-01T` WHERE d.licenceNumber = ?"
                txn.execute_statement(renew, number)
                return "renewed"
            licence = {"licenceNumber": number, "personId": person["id"]}
            txn.execute_statement("INSERT INTO DriversLicence ?", licence)
            return "issued"

        return str(self._driver.execute_lambda(work))

    def _run(self, text: str, *parameters: Any) -> list[Any]:
        return list(self._driver.execute_lambda(lambda txn: txn.execute_statement(text, *parameters)))


def main(ledger: str) -> dict[str, Any]:
    with QldbDriver(ledger) as driver:
        register = Register(driver)
        register.create()
        register.register("VIN-0001", "GOV-1")
        register.register("VIN-0002", "GOV-2")
        register.add_secondary_owner("VIN-0002", "GOV-1")
        both = register.vehicles_of("GOV-1")
        register.transfer("VIN-0001", "GOV-1", "GOV-3")
        try:
            register.transfer("VIN-0001", "GOV-1", "GOV-2")
            refused = False
        except NotTheOwner:
            refused = True
        return {
            "before": both,
            "after": register.vehicles_of("GOV-1"),
            "refused": refused,
            "owners": register.owners_over_time("VIN-0001"),
            "licence": [register.licence("GOV-1", "L-1"), register.licence("GOV-1", "L-1")],
        }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
