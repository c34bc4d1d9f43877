"""Calls QLDB's control API over HTTP, signed if there is a key."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.ledger.endpoint.client import Refused

ROLE = "arn:aws:iam::000000000000:role/made-up"


class Signed(httpx.Auth):
    """Signs requests by AWS's Signature Version 4."""

    requires_request_body = True

    def __init__(self, key_id: str, secret: str) -> None:
        self._signer = SigV4Auth(Credentials(key_id, secret), "qldb", "eu-west-2")

    def auth_flow(self, request: Any) -> Any:
        kept = {name: request.headers[name] for name in ("content-type", "x-amz-target") if name in request.headers}
        signed = AWSRequest(method=request.method, url=str(request.url), data=request.content, headers=kept)
        self._signer.add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        yield request


class Api:
    """A client of the control API."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Return the answer. Raises Refused; `members` of it are the answer's."""
        content = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json"}
        response = self.http.request(method, path, content=content, headers=headers, params=query)
        answer = response.json()
        if response.status_code != 200:
            assert "Code" not in answer
            error = Refused(response.status_code, response.headers["x-amzn-errortype"], answer["Message"])
            error.members = answer  # type: ignore[attr-defined]
            raise error
        return answer

    def create(self, name: str, **more: Any) -> Any:
        """Create a ledger and wait for it."""
        answer = self.call("POST", "/ledgers", {"Name": name, "PermissionsMode": "ALLOW_ALL", **more})
        until(lambda: self.call("GET", f"/ledgers/{name}")["State"] == "ACTIVE")
        return answer

    def tags(self, arn: str) -> Any:
        return self.call("GET", f"/tags/{quote(arn, safe='')}")["Tags"]


def until(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.05)
    return found
