"""A served ledger, with one table."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from strandline.ledger import Ledger
from strandline.ledger.endpoint.application import Application
from strandline.ledger.endpoint.sessions import Sessions
from tests.ledger.endpoint.client import Client, served
from tests.ledger.execution.statements import run


@pytest.fixture
def sessions(ledger: Ledger) -> Sessions:
    run(ledger, "CREATE TABLE Vehicle")
    run(ledger, "CREATE INDEX ON Vehicle (VIN)")
    return Sessions(ledger, most_transactions=3)


@pytest.fixture
def url(sessions: Sessions) -> Iterator[str]:
    """The address of a server without keys."""
    with served(Application(sessions, keys=None, ledger_name="vehicles")) as url:
        yield url


@pytest.fixture
def connect(url: str) -> Iterator[Callable[..., Client]]:
    """Opens a session; `connect("other")` names another ledger."""
    with ExitStack() as stack:
        yield lambda name="vehicles": Client(url, stack, name)


@pytest.fixture
def client(connect: Callable[..., Client]) -> Client:
    return connect()
