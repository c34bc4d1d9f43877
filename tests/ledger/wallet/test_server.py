"""`strandline serve wallet`: 32 clients at once, repeated requests, killed connections; every request happens once."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.http_server import HttpServer
from strandline.consumer.projection.discovery import discover
from strandline.consumer.verification.verify import verify_store
from strandline.ledger.wallet.handlers import Api
from strandline.ledger.wallet.server import Application, listen
from tests.ledger.wallet.conftest import Call

CLIENTS, ACCOUNTS, REQUESTS = 32, 8, 10
COMMAND = [sys.executable, "-m", "strandline.cli", "serve", "wallet", "--json", "--listen"]
KILL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'strandline ledger' AND datname = current_database()"""


@contextmanager
def serving(database: str, home: Path, **more: str) -> Iterator[str]:
    """Run a server; yields its URL. It must end in order."""
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
    """Send one request. With `lost`, close the connection before the answer."""
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
    """A client that adds and withdraws, and keeps its answers."""

    def __init__(self, number: int) -> None:
        self._random = random.Random(f"client {number}")
        self._number = number
        self.answers: list[tuple[dict[str, str], str, int, Any]] = []

    def run(self, url: str) -> None:
        for number in range(REQUESTS):
            path = self._random.choice(["/AddFunds", "/AddFunds", "/WithdrawFunds"])
            members = {
                "accountId": f"A{self._random.randrange(ACCOUNTS)}",
                "amount": f"{self._random.randint(1, 9999) / 100:.2f}",
                "requestId": f"c{self._number}/{number}",
            }
            status, body = answered(url, path, members, lost=self._random.random() < 0.15)
            self.answers.append((members, path, status, body))
            if self._random.random() < 0.3:
                again = answered(url, path, members)
                # What was refused may go through later, by then with enough in the account.
                if status == 200:
                    assert again == (status, body)
                else:
                    self.answers[-1] = (members, path, *again)


def kill_connections(database: str, until: Event) -> int:
    """Kill the ledger's connections to PostgreSQL now and then. Returns how many."""
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

    answers = [one for client in clients for one in client.answers]
    assert {status for *_, status, _ in answers} <= {200, 409}
    moved = {members["requestId"]: (members, path, body) for members, path, status, body in answers if status == 200}
    project(database, discover(["strandline.projections.wallet"]))
    with connect(database) as connection:
        # In the journal's order: the clock may not advance between two blocks.
        statement = connection.execute(
            "SELECT account_id, type, amount, balance, request_id FROM read.wallet_statement ORDER BY source_block"
        ).fetchall()
        shown = dict(connection.execute("SELECT account_id, balance FROM read.wallet_balance").fetchall())
    times = Counter(request_id for *_, request_id in statement)
    assert set(times.values()) == {1}
    assert moved.keys() <= times.keys()
    # What a client was refused, and had lost an answer to before, may have happened.
    assert len(times) - ACCOUNTS - len(moved) <= sum(status == 409 for *_, status, _ in answers)
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
        json_type = {"Content-Type": "application/json; charset=utf-8"}
        bearer = {"Authorization": "Bearer 0123456789abcdef", **json_type}
        assert send("GET", "/") == (404, problem, "")
        assert send("GET", "/AddFunds") == (405, problem, "POST")
        assert send("POST", "/CreateTable", **json_type) == (401, problem, "")
        assert send("POST", "/CreateTable", **bearer) == (201, "application/json", "")
        assert send("POST", "/Index", b"\xff", **bearer) == (400, problem, "")
        assert send("POST", "/Index", b" " * 70_000, **bearer) == (413, problem, "")
        assert send("POST", "/Index", b"{}", **bearer)[0] == 201
        assert send("GET", "/CheckFunds?accountId=%41%20B", **bearer)[0] == 404
    assert "0123456789abcdef" not in (tmp_path / "log").read_text()


PAGES = [
    ({"Host": "wallet.example"}, 403),  # a name that its owner points to 127.0.0.1
    ({"Host": "wallet.example:8700"}, 403),
    ({"Host": "127.0.0.1.example"}, 403),
    ({"Host": ""}, 403),
    ({"Origin": "https://page.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ({"Content-Type": ""}, 415),
]
PROGRAMS = [{"Host": "localhost:1"}, {"Host": "[::1]"}, {"Host": "127.0.0.2"}, {"Content-Type": "Application/JSON"}]


@pytest.fixture
def server(api: Api) -> Iterator[HttpServer]:
    made = HttpServer(Application(loopback_only=True), listen("127.0.0.1:0", has_token=False))
    made.start()
    yield made
    made.stop()
    assert made.join(60)


def post(server: HttpServer, headers: Mapping[str, str]) -> tuple[int, str]:
    sent = {"Host": f"127.0.0.1:{server.port}", "Content-Type": "application/json", **headers}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.putrequest("POST", "/CreateAccount", skip_host=True)
        body = json.dumps({"accountId": "A", "requestId": f"request {headers}"}).encode()
        for name, value in {**sent, "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()).get("detail", "")


@pytest.mark.parametrize(("headers", "status"), PAGES)
def test_request_of_a_web_page_is_refused(server: HttpServer, call: Call, headers: dict[str, str], status: int) -> None:
    assert post(server, headers)[0] == status
    assert call("/CheckFunds", accountId="A")[0] == 404


@pytest.mark.parametrize("headers", PROGRAMS)
def test_request_of_a_program_is_served(server: HttpServer, headers: dict[str, str]) -> None:
    assert post(server, headers) == (201, "")


def test_half_sent_requests_do_not_hold_up_the_wallet(server: HttpServer) -> None:
    with ExitStack() as stack:
        for _ in range(200):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(b"POST /AddFunds HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        assert post(server, {}) == (201, "")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("0.0.0.0:0", "set STRANDLINE_SERVE_TOKEN"),
        ("somewhere", "cannot be listened on"),
        ("127.0.0.1:99999999", "cannot be listened on"),
    ],
)
def test_address_that_cannot_be_served_is_refused(address: str, reason: str, database: str, tmp_path: Path) -> None:
    environment = {**os.environ, "STRANDLINE_DATABASE_URL": database, "STRANDLINE_HOME": str(tmp_path)}
    done = subprocess.run([*COMMAND, address], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
