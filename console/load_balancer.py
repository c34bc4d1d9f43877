"""The reader as an AWS Application Load Balancer signs them: the header `x-amzn-oidc-data`, a JWT of ES256.

Form and keys are those of AWS's guide ("Authenticate users using an Application Load Balancer"): the JWT's header names
the load balancer that signed (`signer`), the key (`kid`) and the end (`exp`); the region's endpoint has the key as PEM.
"""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from threading import Lock
from typing import Any

import cryptography  # noqa: F401  # jwt checks ES256 with it
import jwt
import structlog
from starlette.requests import Request

from strandline.console.reader import MOST_NAME, Reader, SignIn, is_within
from strandline.journal.errors import UsageError

log = structlog.get_logger()

HEADER = "x-amzn-oidc-data"
SECONDS = 5.0  # to fetch a key
MOST_KEYS = 16
MOST_KEY_BYTES = 10_000

_ARN = re.compile(r"arn:(aws|aws-us-gov):elasticloadbalancing:([a-z0-9-]+):\d{12}:loadbalancer/app/[\w-]+/[0-9a-f]+")
_KEY_ID = re.compile(r"[0-9a-fA-F-]{8,64}")


class LoadBalancer(SignIn):
    """Claims that one load balancer signed; the connection must come from one of the networks.

    `groups` gives rights to groups. `fetch` returns the PEM of a key, by its URL.
    """

    by_proxy = True

    def __init__(
        self,
        arn: str,
        networks: Sequence[IPv4Network | IPv6Network],
        user_claim: str,
        groups_claim: str,
        groups: Mapping[str, frozenset[str]],
        fetch: Callable[[str], bytes] | None = None,
    ) -> None:
        """Raises UsageError if the ARN is not one of a load balancer whose keys are known to be published."""
        found = _ARN.fullmatch(arn)
        if found is None:
            raise UsageError(
                "STRANDLINE_CONSOLE_ALB is not the ARN of an application load balancer (arn:aws:…:loadbalancer/app/…)."
            )
        self._arn = arn
        self._keys_at = _keys_at(*found.groups())
        self._networks = networks
        self._user_claim, self._groups_claim = user_claim, groups_claim
        self._groups = groups
        self._fetch = fetch or _get
        self._keys: dict[str, Any] = {}
        self._lock = Lock()

    def reader(self, request: Request) -> Reader | None:
        tokens = request.headers.getlist(HEADER)
        if len(tokens) != 1 or not is_within(request.client.host if request.client else "", self._networks):
            return None
        try:
            claims = self._claims(tokens[0])
        except (jwt.PyJWTError, ValueError, OSError) as error:  # its text may quote the token
            log.warning("the load balancer's token is refused", error=type(error).__name__)
            return None
        name = claims.get(self._user_claim)
        if not isinstance(name, str) or not name.strip() or len(name) > MOST_NAME or not name.isprintable():
            return None
        named = _group_names(claims.get(self._groups_claim))
        rights = [self._groups[one] for one in named if one in self._groups]
        return Reader(name.strip(), frozenset().union(*rights))

    def _claims(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a token that this load balancer signed and that is not over. Raises ValueError."""
        header = jwt.get_unverified_header(token)
        if header.get("signer") != self._arn:
            raise ValueError
        # The end is a member of the header, which the signature covers.
        if float(header.get("exp", 0)) < time.time():
            raise ValueError
        key = self._key(str(header.get("kid")))
        claims: Mapping[str, Any] = jwt.decode(
            token, key, algorithms=["ES256"], options={"verify_aud": False, "verify_iat": False}
        )
        return claims

    def _key(self, key_id: str) -> Any:
        if not _KEY_ID.fullmatch(key_id):
            raise ValueError
        with self._lock:
            known = self._keys.get(key_id)
        if known is None:
            known = self._fetch(f"{self._keys_at}/{key_id}").decode("ascii")
            with self._lock:
                if len(self._keys) >= MOST_KEYS:
                    self._keys.clear()
                self._keys[key_id] = known
        return known


def _keys_at(partition: str, region: str) -> str:
    if partition == "aws-us-gov":
        return f"https://s3-{region}.amazonaws.com/aws-elb-public-keys-prod-{region}"
    return f"https://public-keys.auth.elb.{region}.amazonaws.com"


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # https, of AWS's domain
        return bytes(answer.read(MOST_KEY_BYTES))


def _group_names(claim: object) -> list[str]:
    """Return the groups of a claim: a list, or text with commas, which Cognito puts into brackets."""
    if isinstance(claim, list):
        return [one for one in claim if isinstance(one, str)]
    if not isinstance(claim, str):
        return []
    text = claim.strip().removeprefix("[").removesuffix("]")
    return [one.strip().strip('"') for one in text.replace(";", ",").split(",") if one.strip()]
