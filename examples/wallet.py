"""A wallet on a ledger, by QLDB's driver for Python: accounts, funds, transfers by many clients at once.

python wallet.py LEDGER. Prints the balances as JSON. Accounts and amounts are made up.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

from botocore.config import Config
from pyqldb.config.retry_config import RetryConfig
from pyqldb.driver.qldb_driver import QldbDriver

CLIENTS = 8


class NotEnoughFunds(Exception):
    pass


def create_tables(driver: QldbDriver) -> None:
    for table, field in (("Account", "accountId"), ("Movement", "requestId")):
        driver.execute_lambda(lambda txn, table=table: txn.execute_statement(f"CREATE TABLE {table}"))
        driver.execute_lambda(lambda txn, on=f"{table} ({field})": txn.execute_statement(f"CREATE INDEX ON {on}"))


def create_account(txn: Any, account: str) -> None:
    if not list(txn.execute_statement("SELECT accountId FROM Account WHERE accountId = ?", account)):
        txn.execute_statement("INSERT INTO Account ?", {"accountId": account, "balance": Decimal("0.00")})


def check_funds(txn: Any, account: str) -> Decimal:
    (row,) = txn.execute_statement("SELECT balance FROM Account WHERE accountId = ?", account)
    return Decimal(row["balance"])


def move(txn: Any, request: str, amounts: dict[str, Decimal]) -> None:
    """Add an amount to each account, once a request: a driver that lost an answer runs the function again."""
    if list(txn.execute_statement("SELECT requestId FROM Movement WHERE requestId = ?", request)):
        return
    for account, amount in amounts.items():
        balance = check_funds(txn, account) + amount
        if balance < 0:
            raise NotEnoughFunds(account)
        txn.execute_statement("UPDATE Account SET balance = ? WHERE accountId = ?", balance, account)
    txn.execute_statement("INSERT INTO Movement ?", {"requestId": request, "amounts": amounts})


def add_funds(driver: QldbDriver, request: str, account: str, amount: str) -> None:
    driver.execute_lambda(lambda txn: move(txn, request, {account: Decimal(amount)}))


def withdraw_funds(driver: QldbDriver, request: str, account: str, amount: str) -> None:
    driver.execute_lambda(lambda txn: move(txn, request, {account: -Decimal(amount)}))


def transfer(driver: QldbDriver, request: str, source: str, target: str, amount: str) -> None:
    amounts = {source: -Decimal(amount), target: Decimal(amount)}
    driver.execute_lambda(lambda txn: move(txn, request, amounts))


def main(ledger: str) -> dict[str, Any]:
    config = Config(max_pool_connections=CLIENTS)
    with QldbDriver(ledger, config=config, retry_config=RetryConfig(retry_limit=50)) as driver:
        create_tables(driver)
        accounts = [f"ACC-{number}" for number in range(4)]
        for account in accounts:
            driver.execute_lambda(lambda txn, account=account: create_account(txn, account))
            add_funds(driver, f"open {account}", account, "100.00")
        add_funds(driver, "open ACC-0", "ACC-0", "100.00")  # the same request again
        withdraw_funds(driver, "cash", "ACC-1", "0.50")
        try:
            withdraw_funds(driver, "too much", "ACC-2", "1000")
            refused = False
        except NotEnoughFunds:
            refused = True

        def pay(number: int) -> None:
            transfer(driver, f"pay {number}", accounts[number % 4], accounts[(number + 1) % 4], "0.25")

        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(pay, range(16)))
        balances = {one: str(driver.execute_lambda(lambda txn, one=one: check_funds(txn, one))) for one in accounts}
    return {"balances": balances, "refused": refused}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
