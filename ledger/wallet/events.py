"""Requests and answers of a Lambda function behind API Gateway: payload formats 1.0 and 2.0."""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from strandline.ledger.wallet.problems import Problem, TooLarge, WrongRequest

MOST_BYTES = 64 * 1024
MOST_NAME = 128
Event = Mapping[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request's JSON body (GET: its query), and its headers by lower-case names."""

    members: Mapping[str, Any]
    headers: Mapping[str, str]

    def names(self, *names: str) -> list[str]:
        """Return the members of these names. Raises WrongRequest if one is not a short printable text."""
        return [_name(name, self.members.get(name)) for name in names]

    def expect(self, *names: str) -> None:
        """Raise WrongRequest if there is a member of another name: its sender may rely on it."""
        if not self.members.keys() <= set(names):
            raise WrongRequest(f"the members may be {', '.join(names) or 'none'}, and no others")


def read_request(event: Event) -> Request:
    """Return the request of an event. Raises WrongRequest, TooLarge."""
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    if method(event) == "GET":
        return Request(event.get("queryStringParameters") or {}, headers)
    return Request(_body(event), headers)


def method(event: Event) -> str:
    http = (event.get("requestContext") or {}).get("http") or {}
    return str(event.get("httpMethod") or http.get("method") or "")


def answer(status: int, body: Mapping[str, object]) -> Answer:
    return _answer(status, "application/json", body, {})


def problem_answer(problem: Problem) -> Answer:
    return _answer(problem.status, "application/problem+json", problem.body, problem.headers)


def _answer(status: int, kind: str, body: Mapping[str, object], headers: Mapping[str, str]) -> Answer:
    return {
        "statusCode": status,
        "headers": {"content-type": kind, "cache-control": "no-store", **headers},
        "body": json.dumps(body, ensure_ascii=False),
        "isBase64Encoded": False,
    }


def _body(event: Event) -> Mapping[str, Any]:
    body: Any = event.get("body") or "{}"
    try:
        data = b64decode(body, validate=True) if event.get("isBase64Encoded") else str(body).encode()
        if len(data) > MOST_BYTES:
            raise TooLarge(f"a request has at most {MOST_BYTES:,} bytes")
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise WrongRequest("the body is not JSON") from None
    if not isinstance(value, dict):
        raise WrongRequest("the body is not a JSON object")
    return value


def _name(name: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MOST_NAME or not value.isprintable():
        raise WrongRequest(f"{name} must be a text of 1 to {MOST_NAME} printable characters")
    return value
