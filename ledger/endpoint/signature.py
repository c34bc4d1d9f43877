"""AWS's Signature Version 4, checked (AWS's reference, "Create a signed AWS API request"), and the file of its keys.

A signature proves knowledge of the secret, so the server must know the secret itself: a hash of it is not enough. The
file is therefore refused if others on the machine may read it.
"""

import configparser
import hashlib
import hmac
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, quote

from strandline.journal.errors import UsageError
from strandline.ledger.endpoint.refusals import Refusal, forbidden
from strandline.ledger.endpoint.rights import Caller, Rule, read_rules

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "qldb"
MOST_SKEW_SECONDS = 300
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=(?P<id>[^/, ]+)/(?P<date>\d{{8}})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)"
    r"/aws4_request, ?"
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_NEEDED = frozenset(("host", "x-amz-date"))


@dataclass(frozen=True, slots=True)
class Key:
    """A client's secret, and who it is."""

    secret: str
    caller: Caller


Keys = Mapping[str, Key]
_UNKNOWN = Key("unknown", Caller())


def read_keys(path: Path) -> Keys:
    """Return the keys by their ids, from a file in the form of AWS's shared credentials. Raises UsageError.

    A section may have `allow`, with a rule a line (ledger/endpoint/rights.py); without it the key may do everything.
    """
    parser = configparser.RawConfigParser()
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise UsageError(f"{path} holds secrets and may be read by others: run chmod 600 {path}")
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        raise UsageError(f"{path} cannot be read as a credentials file of AWS, with sections and keys.") from None
    keys: dict[str, Key] = {}
    for section in parser.sections():
        named = dict(parser.items(section))
        key_id, secret = named.get("aws_access_key_id", ""), named.get("aws_secret_access_key", "")
        if not key_id or len(secret) < 16 or key_id in keys:
            raise UsageError(
                f"{path}, section [{section}]: needs an aws_access_key_id of its own, and an aws_secret_access_key of "
                "16 characters or more."
            )
        keys[key_id] = Key(secret, Caller(key_id, section, _rules(path, section, named.get("allow"))))
    if not keys:
        raise UsageError(f"{path} holds no keys: add a section with aws_access_key_id and aws_secret_access_key.")
    return keys


def _rules(path: Path, section: str, text: str | None) -> tuple[Rule, ...] | None:
    if text is None:
        return None
    try:
        return read_rules(text.splitlines())
    except ValueError as error:
        raise UsageError(f"{path}, section [{section}], allow: {error}.") from None


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of a request that its signature covers. Header names are in lower case."""

    method: str
    path: str  # as sent, percent-encoded
    query: str
    headers: Mapping[str, str]
    body: bytes


def check(request: SignedRequest, keys: Keys, now: datetime | None = None) -> Caller:
    """Check the request's signature and return who signed it. Raises Refusal."""
    given = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if given is None:
        raise forbidden("MissingAuthenticationTokenException", "The request is not signed by AWS's Signature Version 4")
    names = given["headers"].split(";")
    if not names or not set(names) >= _NEEDED or any(name not in request.headers for name in names):
        raise forbidden("IncompleteSignatureException", "The signature does not cover host and x-amz-date")
    if "x-amz-target" in request.headers and "x-amz-target" not in names:
        raise forbidden("IncompleteSignatureException", "The signature does not cover x-amz-target")
    moment = request.headers["x-amz-date"]
    _check_time(moment, given["date"], now or datetime.now(UTC))
    if given["service"] != SERVICE:
        raise forbidden("SignatureDoesNotMatch", f"The signature is for another service than {SERVICE}")
    # A made-up secret for an unknown key: the answer takes as long.
    key = keys.get(given["id"], _UNKNOWN)
    scope = f"{given['date']}/{given['region']}/{given['service']}/aws4_request"
    signature = _signature(_canonical(request, names), moment, scope, key.secret)
    if not hmac.compare_digest(signature, given["signature"]) or key is _UNKNOWN:
        raise forbidden("InvalidSignatureException", "The signature is not that of a known key")
    return key.caller


def _check_time(moment: str, date: str, now: datetime) -> None:
    try:
        signed = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise forbidden("IncompleteSignatureException", "x-amz-date is no time") from None
    if not moment.startswith(date) or abs((now - signed).total_seconds()) > MOST_SKEW_SECONDS:
        raise Refusal("RequestExpired", "The request was signed at another time: check both clocks", 403)


def _canonical(request: SignedRequest, names: list[str]) -> str:
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in parse_qsl(request.query, True))
    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in names)
    return "\n".join(
        (
            request.method,
            quote(request.path or "/", safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            headers,
            ";".join(names),
            hashlib.sha256(request.body).hexdigest(),
        )
    )


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


def _signature(canonical: str, moment: str, scope: str, secret: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = "\n".join((ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
