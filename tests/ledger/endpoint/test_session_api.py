"""The session API: every command, and every error with the code and status that the drivers' retries rest on."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from strandline.consumer.verification.verify import verify_store
from strandline.ledger import Ledger
from strandline.ledger.endpoint import sessions as sessions_module
from strandline.ledger.endpoint.application import SESSION_TYPE, TARGET, Application
from strandline.ledger.endpoint.sessions import Sessions
from strandline.ledger.errors import CannotAppend
from tests.ledger.endpoint.client import Client, Refused, served

Connect = Callable[..., Client]


def refused(status: int, code: str, message: str = "") -> Any:
    """A context in which a request is answered so."""
    return pytest.raises(Refused, match=f"^{status} {code} .*{message}")


def test_transaction_of_several_statements(client: Client, database: str) -> None:
    client.begin()
    (row,) = client.execute("INSERT INTO Vehicle ?", {"VIN": "V1", "n": 1})
    client.execute("UPDATE Vehicle SET n = n + 1, m = 2 WHERE VIN = ?", "V1")
    client.commit()
    assert client.run("SELECT id, v.* FROM Vehicle AS v BY id WHERE v.VIN = ?", "V1") == [
        {"id": row["documentId"], "VIN": "V1", "n": 2, "m": 2}
    ]
    client.send(EndSession={})
    assert verify_store(database, workers=1).ok


def test_answers_have_the_members_that_drivers_read(client: Client) -> None:
    client.begin()
    command = {"TransactionId": client.transaction, "Statement": "SELECT * FROM Vehicle"}
    answer = client.send(ExecuteStatement=command)
    assert answer["FirstPage"] == {"Values": []}
    assert answer["ConsumedIOs"] == {"ReadIOs": 0, "WriteIOs": 0}
    assert answer["TimingInformation"]["ProcessingTimeMilliseconds"] >= 0
    client.send(AbortTransaction={})
    client.begin()
    client.execute("INSERT INTO Vehicle << {'VIN': 'a'}, {'VIN': 'b'} >>")
    assert client.commit()["ConsumedIOs"] == {"ReadIOs": 0, "WriteIOs": 2}
    assert client.send(AbortTransaction={}).keys() == {"TimingInformation"}


def test_450_rows_come_in_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.begin()
    rows = client.execute("SELECT VALUE n FROM ? AS n", list(range(450)))
    assert rows == list(range(450))
    command = {"TransactionId": client.transaction, "Statement": "SELECT * FROM ? AS n"}
    monkeypatch.setattr(sessions_module, "PAGE_BYTES", 100)
    page = client.send(ExecuteStatement={**command, "Parameters": [{"IonText": '["' + "a" * 99 + '", 2]'}]})
    assert len(page["FirstPage"]["Values"]) == 1
    token = page["FirstPage"]["NextPageToken"]
    fetch = {"TransactionId": client.transaction, "NextPageToken": token}
    assert len(client.send(FetchPage=fetch)["Page"]["Values"]) == 1
    with refused(400, "BadRequestException", "Invalid page token"):
        client.send(FetchPage=fetch)


def test_reads_are_counted_at_every_level_of_a_join(client: Client) -> None:
    """As AWS's test for Node.js has it: 3 + 9 + 27 + 81 + 243 + 729 for a six-fold join of 3 documents."""
    client.run("INSERT INTO Vehicle << {'VIN': 'a'}, {'VIN': 'b'}, {'VIN': 'c'} >>")
    client.begin()
    text = "SELECT 1 FROM " + ", ".join(f"Vehicle AS v{n}" for n in range(6))
    page = client.send(ExecuteStatement={"TransactionId": client.transaction, "Statement": text})
    reads, page = page["ConsumedIOs"]["ReadIOs"], page["FirstPage"]
    while token := page.get("NextPageToken"):
        answer = client.send(FetchPage={"TransactionId": client.transaction, "NextPageToken": token})
        reads, page = reads + answer["ConsumedIOs"]["ReadIOs"], answer["Page"]
    assert reads == 1092


class TestErrors:
    def test_conflict(self, connect: Connect, client: Client) -> None:
        client.run("INSERT INTO Vehicle {'VIN': 'V1'}")
        other = connect()
        client.begin()
        client.execute("SELECT * FROM Vehicle WHERE VIN = 'V1'")
        other.run("UPDATE Vehicle SET n = 1 WHERE VIN = 'V1'")
        with refused(400, "OccConflictException", "Optimistic concurrency control failure"):
            client.commit()
        client.run("UPDATE Vehicle SET n = 2 WHERE VIN = 'V1'")

    def test_lost_session(self, client: Client) -> None:
        client.token = "AAAAAAAA"
        with refused(400, "InvalidSessionException"):
            client.send(StartTransaction={})

    def test_ended_session(self, client: Client) -> None:
        client.send(EndSession={})
        with refused(400, "InvalidSessionException"):
            client.send(StartTransaction={})

    def test_expired_transaction(self, client: Client, sessions: Sessions) -> None:
        sessions.transaction_seconds = 0.05
        for use in ("execute", "commit"):
            client.begin()
            time.sleep(0.06)
            with refused(400, "InvalidSessionException", f"Transaction {client.transaction} has expired"):
                client.commit() if use == "commit" else client.execute("SELECT * FROM Vehicle")

    def test_sweep_ends_what_is_idle(self, client: Client, sessions: Sessions) -> None:
        sessions.transaction_seconds = 0.05
        client.begin()
        client.execute("SELECT * FROM Vehicle")
        time.sleep(0.06)
        sessions.sweep()
        with refused(400, "InvalidSessionException", "has expired"):
            client.execute("SELECT * FROM Vehicle")
        sessions.transaction_seconds = 30
        client.run("SELECT * FROM Vehicle")
        sessions.idle_seconds = 0
        time.sleep(0.01)
        sessions.sweep()
        with refused(400, "InvalidSessionException"):
            client.begin()

    def test_old_session(self, client: Client, sessions: Sessions) -> None:
        sessions.session(client.token)._ends = 0
        with refused(400, "InvalidSessionException", "Session has expired"):
            client.begin()

    def test_too_many_transactions(self, connect: Connect, sessions: Sessions) -> None:
        """The bound is 3; one that ends makes room, however it ends."""
        clients = [connect() for _ in range(4)]
        for one in clients[:3]:
            one.begin()
        for end in ("commit", "abort", "session", "error"):
            with refused(503, "CapacityExceededException"):
                clients[3].begin()
            if end == "commit":
                clients[0].commit()
            elif end == "abort":
                clients[0].send(AbortTransaction={})
            elif end == "session":
                clients[0].send(EndSession={})
                clients[0] = connect()
            else:
                with refused(400, "BadRequestException"):
                    clients[0].execute("SELECT")
            clients[0].begin()

    def test_too_many_sessions(self, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sessions_module, "MOST_SESSIONS", 1)
        connect()
        with refused(400, "LimitExceededException"):
            connect()

    def test_wrong_statement(self, client: Client) -> None:
        for text, message in (
            ("SELECT", "Parser Error: at line 1, column 7"),
            ("SELECT * FROM Nope", "No such variable named 'Nope'"),
            ("INSERT INTO Vehicle 1", "a document is a struct"),
            ("SELECT ? FROM Vehicle", "has 1 parameters, 0 were given"),
        ):
            client.begin()
            with refused(400, "BadRequestException", message):
                client.execute(text)
            with refused(400, "BadRequestException", "is not open"):
                client.commit()

    def test_wrong_digest(self, client: Client) -> None:
        client.begin()
        client.execute("INSERT INTO Vehicle {'VIN': 'V1'}")
        client.digest = bytes(32)
        with refused(400, "BadRequestException", "Digests don't match"):
            client.commit()
        assert client.run("SELECT * FROM Vehicle") == []

    def test_two_transactions_in_a_session(self, client: Client) -> None:
        client.begin()
        with refused(400, "BadRequestException", "A transaction is open"):
            client.begin()

    def test_other_ledger(self, connect: Connect) -> None:
        with refused(400, "BadRequestException", "Ledger with name other is not found"):
            connect("other")

    def test_lost_database(self, client: Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        from strandline.consumer.database.errors import DatabaseUnreachable

        def lost(*_: Any) -> None:
            raise DatabaseUnreachable("postgresql://secret")

        monkeypatch.setattr(ledger._group, "submit", lost)
        client.begin()
        client.execute("SELECT * FROM Vehicle")
        with refused(503, "ServiceUnavailableException", "cannot be reached"):
            client.commit()

    def test_journal_that_takes_nothing(self, client: Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> None:
            raise CannotAppend("no")

        monkeypatch.setattr(ledger._group, "submit", full)
        client.begin()
        client.execute("SELECT * FROM Vehicle")
        with refused(400, "BadRequestException", "no"):
            client.commit()

    def test_fault_of_the_server_shows_nothing(self, client: Client, ledger: Ledger, monkeypatch: Any) -> None:
        monkeypatch.setattr(ledger, "begin", lambda _: {}["secret"])
        with refused(500, "InternalFailure", "Internal error$"):
            client.begin()


def test_repeated_commit_is_answered_again(client: Client, ledger: Ledger) -> None:
    """The answer of a commit may be lost; the transaction happens once."""
    client.begin()
    client.execute("INSERT INTO Vehicle {'VIN': 'V1'}")
    client.commit()
    client.commit()
    assert len(client.run("SELECT * FROM Vehicle")) == 1
    assert ledger.find_transaction(client.transaction) is not None


MALFORMED = [
    (b"{", "SerializationException"),
    (b"\xff", "SerializationException"),
    (b"{}", "BadRequestException"),
    (b"[]", "BadRequestException"),
    (b'{"StartSession": {}}', "BadRequestException"),
    (b'{"StartSession": {"LedgerName": "vehicles"}, "EndSession": {}}', "BadRequestException"),
    (b'{"StartSession": {"LedgerName": "a b"}}', "BadRequestException"),
    (b'{"SessionToken": "???????", "StartTransaction": {}}', "BadRequestException"),
    (b'{"StartTransaction": {}}', "InvalidSessionException"),
]


def test_malformed_request(client: Client) -> None:
    headers = {"x-amz-target": TARGET, "content-type": SESSION_TYPE}
    for body, code in MALFORMED:
        response = client.http.post("/", content=body, headers=headers)
        assert (response.status_code, response.json()["__type"]) == (400, code), body


def test_malformed_parameter(client: Client) -> None:
    for value in ({"IonBinary": "!"}, {"IonText": "{"}, {"IonText": ""}, {"IonText": "[" * 20_000}, {}):
        client.begin()
        command = {"TransactionId": client.transaction, "Statement": "SELECT ? FROM << 0 >>", "Parameters": [value]}
        with refused(400, "BadRequestException", "A parameter is not one Ion value"):
            client.send(ExecuteStatement=command)
        client.send(AbortTransaction={})


def test_parameter_whose_struct_repeats_a_field(client: Client) -> None:
    """Refused with its statement: a driver counts both fields in the digest of the commit."""
    for text in ("{a: 1, a: 2}", "[{b: {a: 1, a: 1}}]"):
        client.begin()
        command = {"TransactionId": client.transaction, "Statement": "INSERT INTO Vehicle ?"}
        with refused(400, "BadRequestException", "A parameter is a struct that has a field twice"):
            client.send(ExecuteStatement={**command, "Parameters": [{"IonText": text}]})
        client.send(AbortTransaction={})


def test_two_endpoints_serve_one_ledger(client: Client, ledger: Ledger, database: str) -> None:
    """A session is of one process; transactions of all are serial, and one chain."""
    with Ledger(database) as other_ledger, ExitStack() as stack:
        sessions = Sessions(other_ledger, most_transactions=3)
        url = stack.enter_context(served(Application(sessions, keys=None, ledger_name="vehicles")))
        other = Client(url, stack, "vehicles")
        client.run("INSERT INTO Vehicle {'VIN': 'V1', 'n': 0}")
        assert other.run("SELECT VALUE n FROM Vehicle WHERE VIN = 'V1'") == [0]

        client.begin()
        client.execute("SELECT * FROM Vehicle WHERE VIN = 'V1'")
        other.run("UPDATE Vehicle SET n = 1 WHERE VIN = 'V1'")
        client.execute("UPDATE Vehicle SET n = 2 WHERE VIN = 'V1'")
        with refused(400, "OccConflictException"):
            client.commit()

        token, client.token = client.token, other.token
        with refused(400, "InvalidSessionException", "Invalid session"):
            client.begin()
        client.token = token
        client.run("UPDATE Vehicle SET n = n + 1 WHERE VIN = 'V1'")
        assert other.run("SELECT VALUE n FROM Vehicle WHERE VIN = 'V1'") == [2]
        assert ledger.find_transaction(other.transaction) is not None
    assert verify_store(database, workers=1).ok


class TestBrowsers:
    """Any web page that a person opens may send requests to loopback."""

    def send(self, client: Client, **headers: str) -> tuple[int, str]:
        body = json.dumps({"StartSession": {"LedgerName": "vehicles"}})
        named = {"x-amz-target": TARGET, "content-type": SESSION_TYPE, **headers}
        response = client.http.post("/", content=body, headers={k.replace("_", "-"): v for k, v in named.items()})
        return response.status_code, response.json().get("__type", "")

    def test_host_of_a_page(self, client: Client) -> None:
        assert self.send(client, host="page.example") == (403, "AccessDeniedException")
        assert self.send(client, host="localhost:8700") == (200, "")

    def test_origin(self, client: Client) -> None:
        assert self.send(client, origin="http://page.example") == (403, "AccessDeniedException")

    def test_content_type_that_needs_no_preflight(self, client: Client) -> None:
        assert self.send(client, content_type="text/plain") == (400, "SerializationException")

    def test_large_body(self, client: Client) -> None:
        response = client.http.post("/", content=b" " * 9_000_000, headers={"x-amz-target": TARGET})
        assert response.status_code == 413
