"""A work of the group `drivers` by pyqldb: python drivers_client.py URL WORK CLIENTS SECONDS. Prints each duration."""

import json
import sys
import threading
import time
from typing import Any

DOCUMENTS = 1_000


def look_up(txn: Any, number: int) -> None:
    list(txn.execute_statement("SELECT * FROM Account WHERE name = ?", f"a{number % DOCUMENTS}"))


def insert(txn: Any, number: int) -> None:
    list(txn.execute_statement("INSERT INTO Account ?", {"name": f"n{number}", "balance": number}))


def transfer(txn: Any, number: int) -> None:
    for name, amount in ((f"a{number % DOCUMENTS}", -1), (f"a{(number * 5 + 1) % DOCUMENTS}", 1)):
        (row,) = txn.execute_statement("SELECT balance FROM Account WHERE name = ?", name)
        txn.execute_statement("UPDATE Account SET balance = ? WHERE name = ?", row["balance"] + amount, name)


def main(url: str, work: str, clients: int, seconds: float) -> list[float]:
    from botocore.config import Config  # type: ignore[import-not-found,unused-ignore]
    from pyqldb.config.retry_config import RetryConfig  # type: ignore[import-not-found,unused-ignore]
    from pyqldb.driver.qldb_driver import QldbDriver  # type: ignore[import-not-found,unused-ignore]

    config = Config(max_pool_connections=clients)
    driver = QldbDriver("any", endpoint_url=url, config=config, retry_config=RetryConfig(50))
    took: list[float] = []
    ends = time.monotonic() + seconds
    run = {"look-up": look_up, "insert": insert, "transfer": transfer}[work]

    def client(number: int) -> None:
        turn = 0
        while time.monotonic() < ends:
            begun = time.monotonic()
            driver.execute_lambda(lambda txn, at=number * 7919 + turn: run(txn, at))
            took.append(time.monotonic() - begun)
            turn += 1

    threads = [threading.Thread(target=client, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    driver.close()
    return took


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
