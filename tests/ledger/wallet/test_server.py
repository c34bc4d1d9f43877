"""`strandline serve wallet`: 32 clients at once, repeated requests and killed connections; every request once."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.projection.discovery import discover
from strandline.consumer.verification.verify import verify_store

CLIENTS, ACCOUNTS, REQUESTS = 32, 8, 10
COMMAND = [sys.executable, "-m", "strandline.cli", "serve", "wallet", "--json", "--listen"]
KILL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'strandline ledger' AND datname = current_database()"""


@contextmanager
def serving(database: str, home: Path, **more: str) -> Iterator[str]:
    """The URL of a server of its own, which ends in order."""
    environment = {**os.environ, "STRANDLINE_DATABASE_URL": database, "STRANDLINE_HOME": str(home), **more}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, "127.0.0.1:0"], env=environment, stdout=subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        said = b"".join(iter(process.stdout.readline, b"}\n")) + b"}"
        yield str(json.loads(said)["url"])
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()


def ask(url: str, path: str, members: dict[str, str], *, lost: bool = False) -> tuple[int, Any] | None:
    """Send one request; `lost`: let the connection go before the answer is there."""
    to = urlsplit(url)
    connection = http.client.HTTPConnection(to.hostname or "", to.port, timeout=60)
    try:
        if path == "/CheckFunds":
            connection.request("GET", f"{path}?accountId={members['accountId']}")
        else:
            connection.request("POST", path, json.dumps(members), {"Content-Type": "application/json"})
        if lost:
            assert connection.sock is not None
            connection.sock.shutdown(socket.SHUT_RDWR)
            return None
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def answered(url: str, path: str, members: dict[str, str], *, lost: bool = False) -> tuple[int, Any]:
    """Send a request until it is answered, as a client should."""
    if lost:
        ask(url, path, members, lost=True)
    while True:
        answer = ask(url, path, members)
        if answer is not None and answer[0] != 503:
            return answer


class Client:
    """One of those who add and withdraw; what it was told is kept."""

    def __init__(self, number: int) -> None:
        self._random = random.Random(f"client {number}")
        self._number = number
        self.told: list[tuple[dict[str, str], str, int, Any]] = []

    def run(self, url: str) -> None:
        for number in range(REQUESTS):
            path = self._random.choice(["/AddFunds", "/AddFunds", "/WithdrawFunds"])
            members = {
                "accountId": f"A{self._random.randrange(ACCOUNTS)}",
                "amount": f"{self._random.randint(1, 9999) / 100:.2f}",
                "requestId": f"c{self._number}/{number}",
            }
            status, body = answered(url, path, members, lost=self._random.random() < 0.15)
            self.told.append((members, path, status, body))
            if self._random.random() < 0.3:
                again = answered(url, path, members)
                # What was refused may go through later, by then with enough in the account.
                if status == 200:
                    assert again == (status, body)
                else:
                    self.told[-1] = (members, path, *again)


def kill_connections(database: str, until: Event) -> int:
    """Kill the ledger's connections to PostgreSQL, now and then; how many."""
    killed = 0
    with psycopg.connect(database, autocommit=True) as connection:
        while not until.wait(0.3):
            killed += len(connection.execute(KILL).fetchall())
    return killed


def test_requests_of_32_clients_happen_once(database: str, tmp_path: Path) -> None:
    clients = [Client(number) for number in range(CLIENTS)]
    done = Event()
    with serving(database, tmp_path) as url:
        for path in ("/CreateTable", "/Index"):
            assert answered(url, path, {})[0] == 201
        for number in range(ACCOUNTS):
            assert answered(url, "/CreateAccount", {"accountId": f"A{number}", "requestId": f"new {number}"})[0] == 201
        with ThreadPoolExecutor(CLIENTS + 1) as pool:
            killing = pool.submit(kill_connections, database, done)
            try:
                for one in [pool.submit(client.run, url) for client in clients]:
                    one.result()
            finally:
                done.set()
            assert killing.result() > 0
        balances = {
            f"A{number}": answered(url, "/CheckFunds", {"accountId": f"A{number}"})[1]["balance"]
            for number in range(ACCOUNTS)
        }

    told = [one for client in clients for one in client.told]
    assert {status for *_, status, _ in told} <= {200, 409}
    moved = {members["requestId"]: (members, path, body) for members, path, status, body in told if status == 200}
    project(database, discover(["strandline.projections.wallet"]))
    with connect(database) as connection:
        # In the journal's order, not in that of a clock that may stand still.
        statement = connection.execute(
            "SELECT account_id, type, amount, balance, request_id FROM read.wallet_statement ORDER BY source_block"
        ).fetchall()
        shown = dict(connection.execute("SELECT account_id, balance FROM read.wallet_balance").fetchall())
    times = Counter(request_id for *_, request_id in statement)
    assert set(times.values()) == {1}
    assert moved.keys() <= times.keys()
    # What a client was refused, and had lost an answer to before, may have happened.
    assert len(times) - ACCOUNTS - len(moved) <= sum(status == 409 for *_, status, _ in told)
    running: dict[str, Decimal] = {}
    for account, kind, amount, balance, request_id in statement:
        previous = running.get(account, Decimal(0))
        running[account] = previous - amount if kind == "WithdrawFunds" else previous + amount
        assert balance == running[account] >= 0
        if request_id in moved:
            members, path, body = moved[request_id]
            assert (members["accountId"], path, Decimal(members["amount"])) == (account, f"/{kind}", amount)
            assert Decimal(body["previousBalance"]) == previous
            assert Decimal(body["currentBalance"]) == balance
    assert running == shown == {account: Decimal(balance) for account, balance in balances.items()}
    assert verify_store(database, workers=1).ok
    log = (tmp_path / "log").read_text()
    assert '"action": "AddFunds"' in log
    assert "Traceback" not in log


def test_malformed_request_is_answered_with_a_problem(database: str, tmp_path: Path) -> None:
    token = {"STRANDLINE_SERVE_TOKEN": "0123456789abcdef"}
    with serving(database, tmp_path, **token) as url:
        host = urlsplit(url)
        assert host.hostname == "127.0.0.1"

        def send(method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str, str]:
            connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=60)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer.status, answer.headers["Content-Type"], answer.headers.get("Allow", "")

        problem = "application/problem+json"
        bearer = {"Authorization": "Bearer 0123456789abcdef"}
        assert send("GET", "/") == (404, problem, "")
        assert send("GET", "/AddFunds") == (405, problem, "POST")
        assert send("POST", "/CreateTable") == (401, problem, "")
        assert send("POST", "/CreateTable", **bearer) == (201, "application/json", "")
        assert send("POST", "/Index", b"\xff", **bearer) == (400, problem, "")
        assert send("POST", "/Index", b" " * 70_000, **bearer) == (413, problem, "")
        assert send("POST", "/Index", b"{}", **bearer)[0] == 201
        assert send("GET", "/CheckFunds?accountId=%41%20B", **bearer)[0] == 404
    assert "0123456789abcdef" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ("0.0.0.0:0", "set STRANDLINE_SERVE_TOKEN"),
        ("somewhere", "cannot be listened on"),
        ("127.0.0.1:99999999", "cannot be listened on"),
    ],
)
def test_address_that_cannot_be_served_is_refused(listen: str, told: str, database: str, tmp_path: Path) -> None:
    environment = {**os.environ, "STRANDLINE_DATABASE_URL": database, "STRANDLINE_HOME": str(tmp_path)}
    done = subprocess.run([*COMMAND, listen], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
