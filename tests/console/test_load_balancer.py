"""The signed header of an AWS load balancer: its own signature, its ARN and its end count, and nothing else."""

import ipaddress
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from strandline.console import serving
from strandline.console.load_balancer import HEADER, LoadBalancer
from strandline.console.reader import parse_groups
from strandline.journal.errors import UsageError
from tests.console.samples import PROJECTIONS, Store, client_of

ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/ledger/0123456789abcdef"
KEY_ID = "12345678-1234-1234-1234-123456789012"
KEYS_AT = f"https://public-keys.auth.elb.eu-west-1.amazonaws.com/{KEY_ID}"
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
CLAIMS = {"sub": "ada", "groups": ["staff", "other"]}


def token(claims: dict[str, Any] = CLAIMS, key: ec.EllipticCurvePrivateKey = PRIVATE, **header: Any) -> str:
    """Return a token as a load balancer makes it: with the padding of base64."""
    default = {"alg": "ES256", "kid": KEY_ID, "signer": ARN, "typ": "JWT", "exp": int(time.time()) + 100_000}
    parts = [urlsafe_b64encode(json.dumps(one).encode()).decode() for one in ({**default, **header}, claims)]
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(".".join(parts).encode(), key)
    return ".".join([*parts, urlsafe_b64encode(signature).decode()])


def keys(fetched: list[str]) -> Callable[[str], bytes]:
    def fetch(url: str) -> bytes:
        fetched.append(url)
        if not url.startswith("https://public-keys.auth.elb.eu-west-1.amazonaws.com/"):
            raise OSError
        return PEM

    return fetch


def sign_in(fetched: list[str], groups_claim: str = "groups") -> LoadBalancer:
    networks = [ipaddress.ip_network("10.0.0.0/24")]
    groups = parse_groups(["staff:reader", "law:cleared"])
    return LoadBalancer(ARN, networks, "sub", groups_claim, groups, keys(fetched))


def forged() -> str:
    """A token whose claims were changed after it was signed."""
    header, _, signature = token({"sub": "eve", "groups": []}).split(".")
    claims = urlsafe_b64encode(json.dumps({"sub": "eve", "groups": ["staff"]}).encode()).decode()
    return f"{header}.{claims}.{signature}"


def unsigned() -> str:
    parts = [{"alg": "none", "kid": KEY_ID, "signer": ARN, "exp": int(time.time()) + 100_000}, CLAIMS]
    return ".".join([*(urlsafe_b64encode(json.dumps(one).encode()).decode() for one in parts), ""])


@pytest.mark.parametrize(
    ("headers", "peer", "status"),
    [
        ([(HEADER, token())], "10.0.0.7", 200),
        ([(HEADER, token())], "10.0.1.7", 403),
        ([(HEADER, token(exp=int(time.time()) - 5))], "10.0.0.7", 403),
        ([(HEADER, token(signer=ARN.replace("ledger", "other")))], "10.0.0.7", 403),
        ([(HEADER, token(key=ec.generate_private_key(ec.SECP256R1())))], "10.0.0.7", 403),
        ([(HEADER, token(kid="../../elsewhere"))], "10.0.0.7", 403),
        ([(HEADER, token({"sub": "ada", "groups": ["others"]}))], "10.0.0.7", 403),
        ([(HEADER, token({"groups": ["staff"]}))], "10.0.0.7", 403),
        ([(HEADER, forged())], "10.0.0.7", 403),
        ([(HEADER, unsigned())], "10.0.0.7", 403),
        ([(HEADER, token()), (HEADER, token())], "10.0.0.7", 403),
        ([(HEADER, "x.y.z")], "10.0.0.7", 403),
        ([], "10.0.0.7", 403),
        # The headers of another proxy name nobody here.
        ([("Remote-User", "ada"), ("Remote-Groups", "staff")], "10.0.0.7", 403),
    ],
)  # fmt: skip
def test_who_is_let_in(store: Store, headers: list[tuple[str, str]], peer: str, status: int) -> None:
    with client_of(store.console(sign_in([]), loopback_only=False), host=peer) as client:
        answer = client.get("/", headers=headers)
    assert answer.status_code == status
    if status == 200:
        assert "ada: reader" in answer.text


def test_a_key_is_fetched_once(store: Store) -> None:
    fetched: list[str] = []
    with client_of(store.console(sign_in(fetched), loopback_only=False), host="10.0.0.7") as client:
        for _ in range(2):
            assert client.get("/", headers={HEADER: token()}).status_code == 200
    assert fetched == [KEYS_AT]


@pytest.mark.parametrize("groups", ["staff", "[other, staff]", '["staff"]'])
def test_groups_may_be_text(store: Store, groups: str) -> None:
    console = store.console(sign_in([], "custom:groups"), loopback_only=False)
    with client_of(console, host="10.0.0.7") as client:
        claims = {"sub": "ada", "custom:groups": groups}
        assert client.get("/", headers={HEADER: token(claims)}).status_code == 200


@pytest.mark.parametrize(
    "arn",
    ["", "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/net/a/b", ARN.replace("eu-west-1", "evil.example/")],
)
def test_what_is_no_load_balancer(arn: str) -> None:
    with pytest.raises(UsageError, match="STRANDLINE_CONSOLE_ALB"):
        LoadBalancer(arn, [], "sub", "groups", {})


def test_government_regions_have_their_own_address() -> None:
    arn = ARN.replace("arn:aws:", "arn:aws-us-gov:").replace("eu-west-1", "us-gov-west-1")
    found = LoadBalancer(arn, [], "sub", "groups", {})
    assert found._keys_at == "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1"


def test_it_needs_its_networks(store: Store) -> None:
    with pytest.raises(ValueError, match="STRANDLINE_CONSOLE_PROXIES"):
        store.settings(console_alb=ARN)
    settings = store.settings(console_alb=ARN, console_proxies="10.0.0.0/24", console_hosts="ledger.example")
    server = serving.open_server(settings, store.url, PROJECTIONS, serving.Options(listen="127.0.0.1:0"))
    server.start()
    server.stop()
    assert server.join(20)
