"""A served ledger, with one table; and a server of several ledgers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx2 as httpx
import pytest

from strandline.consumer.background import stop_all
from strandline.ledger import Ledger
from strandline.ledger.endpoint.application import Application
from strandline.ledger.endpoint.jobs import Jobs
from strandline.ledger.endpoint.served import ServedLedgers
from strandline.ledger.endpoint.sessions import Sessions
from tests.ledger.endpoint.client import Client, served
from tests.ledger.endpoint.control import Api
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


@contextmanager
def at_work(ledger: Ledger, ledgers: ServedLedgers) -> Iterator[str]:
    """Serve ledgers, with the work that the API begins."""
    sessions = Sessions(ledger, most_transactions=3)
    jobs = Jobs(ledgers, sessions)
    jobs.start()
    try:
        with served(Application(sessions, keys=None, ledgers=ledgers, jobs=jobs)) as url:
            yield url
    finally:
        assert stop_all([jobs], 20)
        for name in list(ledgers.open_ledgers()):
            ledgers.forget(name)


@pytest.fixture
def several(ledger: Ledger) -> Iterator[str]:
    """The address of a server that may create ledgers."""
    with at_work(ledger, ServedLedgers(ledger, create=True)) as url:
        yield url


@pytest.fixture
def named(ledger: Ledger) -> Iterator[str]:
    """The address of a server of one ledger, `people`."""
    with at_work(ledger, ServedLedgers(ledger, name="people")) as url:
        yield url


@pytest.fixture
def api(several: str) -> Iterator[Api]:
    with httpx.Client(base_url=several, trust_env=False) as http:
        yield Api(http)
