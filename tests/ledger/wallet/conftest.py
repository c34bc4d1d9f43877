"""A wallet in a fresh database, as its functions see it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from strandline.ledger import Ledger
from strandline.ledger.wallet import Wallet, handlers
from strandline.ledger.wallet.handlers import ROUTES, Api

Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def wallet(ledger: Ledger) -> Wallet:
    wallet = Wallet(ledger)
    wallet.create_table()
    wallet.create_index()
    return wallet


@pytest.fixture
def api(wallet: Wallet) -> Iterator[Api]:
    api = Api(wallet)
    handlers.use(api)
    yield api
    handlers._apis.clear()


@pytest.fixture
def call(api: Api) -> Call:
    """Call a function as API Gateway does; its status and body."""

    def call(path: str, /, **members: Any) -> tuple[int, Any]:
        method, handler = ROUTES[path]
        event: dict[str, Any] = {"httpMethod": method, "path": path, "headers": None}
        event |= {"queryStringParameters": members} if method == "GET" else {"body": json.dumps(members)}
        answer = handler(event, None)
        return answer["statusCode"], json.loads(answer["body"])

    return call
