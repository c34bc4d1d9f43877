"""State that all pages share: the settings, the store, the logins for payload, and the prefix of every address."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from strandline.console.history import History
from strandline.console.logins import Login
from strandline.console.reader import SignIn
from strandline.console.running import Running
from strandline.consumer.database.connection import AUDITOR, OPERATOR, WORKER, Connection, connect
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.settings import Settings

APPLICATION = "strandline console"
STATUS_SECONDS = 30  # for a statement of a status page


@dataclass(frozen=True)
class Console:
    """`url` is the worker's: pages use it by fixed statements only, each with the least role.

    A login that is None shows nothing of its kind.
    """

    settings: Settings
    url: str = field(repr=False)
    projections: Mapping[str, Projection]
    stores: Stores
    sign_in: SignIn
    analyst: Login | None = None
    cleared: Login | None = None
    prefix: str = ""
    read_only: bool = False
    loopback_only: bool = True
    history: History = field(default_factory=History)
    running: Running = field(default_factory=Running)

    @contextmanager
    def status(self) -> Iterator[Connection]:
        """Open a connection that acts as the operator, who may read no payload."""
        with connect(self.url, role=OPERATOR, application_name=APPLICATION) as connection:
            connection.execute(f"SET statement_timeout = '{STATUS_SECONDS}s'".encode())
            connection.commit()
            yield connection

    @contextmanager
    def auditor(self) -> Iterator[Connection]:
        """Open a connection that acts as the auditor, who may read all and write nothing: for fixed statements."""
        with connect(self.url, role=AUDITOR, application_name=APPLICATION) as connection:
            yield connection

    @contextmanager
    def worker(self) -> Iterator[Connection]:
        """Open a connection that acts as the worker, for what the console writes."""
        with connect(self.url, role=WORKER, application_name=APPLICATION) as connection:
            yield connection
