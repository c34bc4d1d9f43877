"""Sends requests as QLDB's drivers do."""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2 as httpx

from strandline.consumer.http_server import HttpServer
from strandline.journal.check.merkle import dot
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.ledger.endpoint.application import SESSION_TYPE, TARGET, Application, listen
from strandline.ledger.open_transaction import statement_digest


class Refused(Exception):
    """An answer with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message


@contextmanager
def served(application: Application) -> Iterator[str]:
    """Serve an application on a free port, and give its URL."""
    server = HttpServer(application, listen("127.0.0.1:0", has_keys=False))
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
        assert server.join(20)


class Client:
    """A driver's session."""

    def __init__(self, url: str, stack: ExitStack, ledger: str, auth: httpx.Auth | None = None) -> None:
        self.http = stack.enter_context(httpx.Client(base_url=url, trust_env=False, auth=auth))
        self.token: str | None = None
        self.token = self.send(StartSession={"LedgerName": ledger})["SessionToken"]

    def send(self, **command: Any) -> Any:
        """Send one command, and return its part of the answer."""
        body = {**({"SessionToken": self.token} if self.token else {}), **command}
        response = self.http.post("/", json=body, headers={"x-amz-target": TARGET, "content-type": SESSION_TYPE})
        answer = response.json()
        if response.status_code != 200:
            code = response.headers["x-amzn-errortype"]
            assert answer["__type"] == code
            assert "Code" not in answer
            raise Refused(response.status_code, code, answer["Message"])
        return answer[next(iter(command))]

    def begin(self) -> None:
        self.transaction = self.send(StartTransaction={})["TransactionId"]
        self.digest = ion_hash(self.transaction)

    def execute(self, text: str, *parameters: Any) -> list[Any]:
        """All rows of a statement, over its pages."""
        self.digest = dot(self.digest, statement_digest(text, parameters))
        values = [{"IonBinary": b64encode(ion.write(one)).decode()} for one in parameters]
        command = {"TransactionId": self.transaction, "Statement": text, "Parameters": values}
        page = self.send(ExecuteStatement=command)["FirstPage"]
        found = page["Values"]
        while token := page.get("NextPageToken"):
            page = self.send(FetchPage={"TransactionId": self.transaction, "NextPageToken": token})["Page"]
            found += page["Values"]
        return [ion.read_one(b64decode(one["IonBinary"])) for one in found]

    def commit(self) -> Any:
        digest = b64encode(self.digest).decode()
        answer = self.send(CommitTransaction={"TransactionId": self.transaction, "CommitDigest": digest})
        assert answer["CommitDigest"] == digest
        assert answer["TransactionId"] == self.transaction
        return answer

    def run(self, text: str, *parameters: Any) -> list[Any]:
        """One statement in a transaction of its own."""
        self.begin()
        rows = self.execute(text, *parameters)
        self.commit()
        return rows
