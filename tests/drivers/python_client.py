"""Drives pyqldb, with what it brings: run with the Python of .venv-drivers. Prints one JSON object.

python python_client.py URL LEDGER SCENARIO
"""

import json
import sys
import threading
from pathlib import Path
from typing import Any

from amazon.ion import simpleion
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pyqldb.config.retry_config import RetryConfig
from pyqldb.driver.qldb_driver import QldbDriver

VALUES = Path(__file__).with_name("values.ion")
ACCOUNTS, CLIENTS, MOVES = 6, 16, 2


def driver(url: str, ledger: str, **more: Any) -> QldbDriver:
    config = Config(max_pool_connections=CLIENTS, connect_timeout=5, read_timeout=60)
    return QldbDriver(ledger, endpoint_url=url, region_name="eu-west-2", config=config, **more)


def run(qldb: QldbDriver, text: str, *parameters: Any) -> list[Any]:
    return list(qldb.execute_lambda(lambda txn: txn.execute_statement(text, *parameters)))


def failure(work: Any) -> dict[str, Any]:
    try:
        work()
    except ClientError as error:
        return {"code": error.response["Error"]["Code"], "message": error.response["Error"]["Message"]}
    raise AssertionError("no error")


def tables(qldb: QldbDriver) -> dict[str, Any]:
    run(qldb, "CREATE TABLE Vehicle")
    run(qldb, "CREATE INDEX ON Vehicle (vin)")
    run(qldb, "CREATE TABLE Gone")
    run(qldb, "DROP TABLE Gone")
    return {"tables": list(qldb.list_tables())}


def values(qldb: QldbDriver) -> dict[str, Any]:
    given = simpleion.loads(VALUES.read_text())
    (inserted,) = run(qldb, "INSERT INTO Vehicle ?", given)
    (found,) = run(qldb, "SELECT * FROM Vehicle WHERE vin = ?", "VALUES")
    return {"id": inserted["documentId"], "found": simpleion.dumps(found, binary=False)}


def pages(qldb: QldbDriver) -> dict[str, Any]:
    for start in range(0, 450, 30):
        documents = [{"vin": f"P{number}", "page": True} for number in range(start, start + 30)]
        run(qldb, "INSERT INTO Vehicle ?", documents)
    found = run(qldb, "SELECT vin FROM Vehicle WHERE page = true")

    def streamed(txn: Any) -> int:
        return sum(1 for _ in txn.execute_statement("SELECT * FROM Vehicle WHERE page = ?", True))

    return {
        "rows": len(found),
        "distinct": len({row["vin"] for row in found}),
        "streamed": qldb.execute_lambda(streamed),
    }


def errors(qldb: QldbDriver) -> dict[str, Any]:
    runs = [0]

    def interrupted(txn: Any) -> None:
        runs[0] += 1
        list(txn.execute_statement("SELECT * FROM Vehicle WHERE vin = 'E1'"))
        run(other, "UPDATE Vehicle SET n = ? WHERE vin = 'E1'", runs[0])

    run(qldb, "INSERT INTO Vehicle {'vin': 'E1'}")
    other = driver(*sys.argv[1:3])
    conflict = failure(lambda: qldb.execute_lambda(interrupted, retry_config=RetryConfig(retry_limit=2)))
    return {
        "conflict": conflict,
        "runs": runs[0],
        "syntax": failure(lambda: run(qldb, "SELECT FROM")),
        "missing": failure(lambda: run(qldb, "SELECT * FROM Nope")),
        "exists": failure(lambda: run(qldb, "CREATE TABLE Vehicle")),
        "ledger": failure(lambda: run(driver(sys.argv[1], "other"), "SELECT * FROM Vehicle")),
    }


def cleared(qldb: QldbDriver) -> dict[str, Any]:
    """Reads what is there now, and tries to see what was there."""
    return {
        "actors": sorted({row["actor"] for row in run(qldb, "SELECT actor FROM AuditEvent")}),
        "history": failure(lambda: run(qldb, "SELECT * FROM history(AuditEvent)")),
        "committed": failure(lambda: run(qldb, "SELECT * FROM _ql_committed_AuditEvent")),
        "other": failure(lambda: run(driver(sys.argv[1], "wallet"), "SELECT * FROM Account")),
    }


def expiry(qldb: QldbDriver) -> dict[str, Any]:
    import time

    def slow(txn: Any) -> None:
        list(txn.execute_statement("SELECT * FROM Vehicle"))
        time.sleep(1.5)
        list(txn.execute_statement("SELECT * FROM Vehicle"))

    expired = failure(lambda: qldb.execute_lambda(slow))
    time.sleep(3)  # the session is idle, and ended: the driver begins another
    return {"expired": expired, "after": len(run(qldb, "SELECT 1 FROM << 0 >>"))}


def capacity(qldb: QldbDriver) -> dict[str, Any]:
    """The server has room for one transaction: another is refused until the first has ended."""
    other = driver(*sys.argv[1:3])

    def busy(txn: Any) -> dict[str, Any]:
        list(txn.execute_statement("SELECT * FROM Vehicle"))
        return failure(lambda: run(other, "SELECT * FROM Vehicle"))

    return {"refused": qldb.execute_lambda(busy), "after": len(run(other, "SELECT 1 FROM << 0 >>"))}


def accounts(qldb: QldbDriver) -> dict[str, Any]:
    run(qldb, "CREATE TABLE Account")
    run(qldb, "CREATE INDEX ON Account (name)")
    run(qldb, "INSERT INTO Account ?", [{"name": f"a{n}", "balance": 100} for n in range(ACCOUNTS)])
    return {}


def move(txn: Any, number: int) -> None:
    for name, amount in ((f"a{number % ACCOUNTS}", -1), (f"a{(number * 5 + 1) % ACCOUNTS}", 1)):
        (row,) = txn.execute_statement("SELECT balance FROM Account WHERE name = ?", name)
        txn.execute_statement("UPDATE Account SET balance = ? WHERE name = ?", row["balance"] + amount, name)


def money(qldb: QldbDriver) -> dict[str, Any]:
    """16 clients at once; each move is tried until it is done, over conflicts and lost servers."""
    done, failed = [], []

    def work(client: int) -> None:
        for turn in range(MOVES):
            while True:
                try:
                    qldb.execute_lambda(lambda txn, number=client + turn: move(txn, number))
                    done.append(1)
                    break
                except (ClientError, BotoCoreError, OSError) as error:
                    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
                    failed.append(code)

    threads = [threading.Thread(target=work, args=[client]) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    print("moving", file=sys.stderr, flush=True)
    for thread in threads:
        thread.join()
    rows = run(qldb, "SELECT balance FROM Account")
    return {"done": len(done), "failed": sorted(set(failed)), "sum": int(sum(row["balance"] for row in rows))}


if __name__ == "__main__":
    with driver(sys.argv[1], sys.argv[2]) as session_pool:
        print(json.dumps(globals()[sys.argv[3]](session_pool)))
