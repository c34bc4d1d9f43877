"""SigV4, signed by botocore, and the file of keys."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from strandline.journal.errors import UsageError
from strandline.ledger.endpoint.application import SESSION_TYPE, TARGET, Application, listen
from strandline.ledger.endpoint.refusals import Refusal
from strandline.ledger.endpoint.rights import Caller
from strandline.ledger.endpoint.sessions import Sessions
from strandline.ledger.endpoint.signature import Key, SignedRequest, check, read_keys
from tests.ledger.endpoint.client import served

SECRET = "wJalrXUtnFEMI-K7MDENG-example"
KEYS = {"AKIDEXAMPLE": Key(SECRET, Caller("AKIDEXAMPLE", "app"))}
BODY = b'{"StartSession":{"LedgerName":"vehicles"}}'


def signed(
    path: str = "/", *, method: str = "POST", secret: str = SECRET, key: str = "AKIDEXAMPLE",
    service: str = "qldb", body: bytes = BODY,
) -> SignedRequest:  # fmt: skip
    headers = {"Content-Type": SESSION_TYPE, "X-Amz-Target": TARGET}
    request = AWSRequest(method=method, url=f"http://127.0.0.1:8700{path}", data=body, headers=headers)
    SigV4Auth(Credentials(key, secret), service, "eu-west-2").add_auth(request)
    lower = {name.lower(): value for name, value in request.headers.items()} | {"host": "127.0.0.1:8700"}
    plain, _, query = path.partition("?")
    return SignedRequest(method, plain, query, lower, body)


@pytest.mark.parametrize(
    "path", ["/", "/ledgers/a", "/tags/arn%3Aaws%3Aqldb?tagKeys=b&tagKeys=a%20c", "/x?empty=&z=1&a=~"]
)
def test_signature_of_botocore_is_accepted(path: str) -> None:
    assert check(signed(path), KEYS).name == "app"


def changed(request: SignedRequest, **parts: Any) -> SignedRequest:
    whole = {name: getattr(request, name) for name in ("method", "path", "query", "headers", "body")}
    return SignedRequest(**{**whole, **parts})


def test_anything_else_is_refused() -> None:
    good = signed()
    without_target = {k: v for k, v in good.headers.items() if k != "x-amz-target"}
    cases = [
        (changed(good, body=BODY + b" "), "InvalidSignatureException"),
        (changed(good, path="/other"), "InvalidSignatureException"),
        (changed(good, method="GET"), "InvalidSignatureException"),
        (changed(good, query="a=b"), "InvalidSignatureException"),
        (changed(good, headers={**good.headers, "x-amz-target": "Other"}), "InvalidSignatureException"),
        (changed(good, headers=without_target), "IncompleteSignatureException"),
        (changed(good, headers={**good.headers, "authorization": ""}), "MissingAuthenticationTokenException"),
        (signed(secret="another secret altogether"), "InvalidSignatureException"),
        (signed(key="UNKNOWN"), "InvalidSignatureException"),
        (signed(key="UNKNOWN", secret="unknown"), "InvalidSignatureException"),
        (signed(service="s3"), "SignatureDoesNotMatch"),
    ]
    for request, code in cases:
        with pytest.raises(Refusal) as caught:
            check(request, KEYS)
        assert (caught.value.code, caught.value.status) == (code, 403)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_old_signature_is_refused(minutes: int) -> None:
    with pytest.raises(Refusal, match="signed at another time"):
        check(signed(), KEYS, datetime.now(UTC) + timedelta(minutes=minutes))


def test_endpoint_with_keys_serves_signed_requests_alone(sessions: Sessions) -> None:
    application = Application(sessions, keys=KEYS)
    with served(application) as url, httpx.Client(base_url=url, trust_env=False) as http:
        good = signed()
        assert http.post("/", content=BODY, headers=dict(good.headers)).status_code == 200
        unsigned = {"x-amz-target": TARGET, "content-type": SESSION_TYPE}
        response = http.post("/", content=BODY, headers=unsigned)
        assert (response.status_code, response.json()["__type"]) == (403, "MissingAuthenticationTokenException")
        assert http.get("/ledgers").status_code == 403


class TestKeys:
    def file(self, folder: Path, text: str, mode: int = 0o600) -> Path:
        path = folder / "keys"
        path.write_text(text)
        path.chmod(mode)
        return path

    def test_file_has_the_form_of_awss_own(self, tmp_path: Path) -> None:
        text = "[app]\naws_access_key_id = A\naws_secret_access_key = 0123456789abcdef%\n[b]\n" \
               "aws_access_key_id=B\naws_secret_access_key=ABCDEF0123456789\n"  # fmt: skip
        assert read_keys(self.file(tmp_path, text)) == {
            "A": Key("0123456789abcdef%", Caller("A", "app")),
            "B": Key("ABCDEF0123456789", Caller("B", "b")),
        }

    @pytest.mark.parametrize(
        ("text", "mode", "message"),
        [
            ("[a]\naws_access_key_id=A\naws_secret_access_key=0123456789abcdef\n", 0o644, "chmod 600"),
            ("", 0o600, "holds no keys"),
            ("[a]\naws_access_key_id=A\n", 0o600, "needs an aws_access_key_id"),
            ("[a]\naws_access_key_id=A\naws_secret_access_key=short\n", 0o600, "16 characters"),
            ("nonsense", 0o600, "cannot be read as"),
        ],
    )
    def test_wrong_file(self, tmp_path: Path, text: str, mode: int, message: str) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            read_keys(self.file(tmp_path, text, mode))
        assert "0123456789abcdef" not in str(caught.value)

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot be read"):
            read_keys(tmp_path / "none")


def test_beyond_this_machine_keys_are_needed() -> None:
    with pytest.raises(UsageError, match="--keys"):
        listen("0.0.0.0:0", has_keys=False)
    listen("127.0.0.1:0", has_keys=False).close()
