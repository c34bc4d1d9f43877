"""A store with a sample ledger, consoles over it for readers with any rights, and the values that must not be seen."""

import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.testclient import TestClient

from strandline.console.app import application
from strandline.console.console import Console
from strandline.console.logins import check_login
from strandline.console.reader import Reader, SignIn
from strandline.consumer.database.readers import embedded_reader_url
from strandline.consumer.erasure.purge import hide
from strandline.consumer.generations.stores import DATABASE_ONLY
from strandline.consumer.http_server import HttpServer, listen_on
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.projection.discovery import discover
from strandline.consumer.settings import Settings
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from strandline.journal.sources.source import local_sources

BLOCKS, SEED = 150, 7
PROJECTIONS = discover(("strandline.projections",))
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
ADDRESS = "http://127.0.0.1"
EVERY_RIGHT = ("reader", "analyst", "cleared", "operator")

# What a page may show for another reason: times, numbers, short words.
_ORDINARY = re.compile(r"\d{4}-\d\d-\d\d.*|[\d.,+-]+|.{0,5}|[A-Z_]+")

READ_PAYLOAD = """
    SELECT DISTINCT leaf #>> '{}' FROM journal.revision, jsonb_path_query(data, 'strict $.**') AS leaf
    WHERE jsonb_typeof(leaf) = 'string'"""
READ_IDS = """
    SELECT document_id FROM journal.revision UNION SELECT table_id FROM journal.user_table
    UNION SELECT name FROM journal.user_table UNION SELECT tx_id FROM journal.revision"""


@dataclass(frozen=True)
class As(SignIn):
    """Everybody is the user `ada`, with these rights."""

    rights: tuple[str, ...]

    def reader(self, request: Request) -> Reader | None:
        return Reader("ada", frozenset(self.rights))


@dataclass(frozen=True)
class Store:
    """A database with a ledger in it."""

    url: str

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            done = connection.execute(statement.encode(), parameters)
            return done.fetchall() if done.description else []

    def settings(self, **more: Any) -> Settings:
        return Settings(database_url=self.url, workers=1, **more)

    def console(
        self, sign_in: SignIn, *, logins: bool = True, settings: Settings | None = None, **more: Any
    ) -> Console:
        """Return a console; with `logins`, of both reader roles."""
        return Console(
            settings=settings or self.settings(),
            url=self.url,
            projections=PROJECTIONS,
            stores=DATABASE_ONLY,
            sign_in=sign_in,
            analyst=check_login("analysts", embedded_reader_url(self.url, "analysts")) if logins else None,
            cleared=check_login("cleared", embedded_reader_url(self.url, "cleared")) if logins else None,
            **more,
        )

    def client(self, *rights: str, **more: Any) -> TestClient:
        """Return a client of a console for a reader with these rights."""
        return client_of(self.console(As(rights), **more))

    @cached_property
    def payload(self) -> list[str]:
        """The texts in all data that say something of somebody."""
        ids = {name for (name,) in self.rows(READ_IDS)}
        texts = [text for (text,) in self.rows(READ_PAYLOAD)]
        return sorted(one for one in texts if one not in ids and not _ORDINARY.fullmatch(one))

    def document(self, condition: str = "true") -> tuple[str, int]:
        """Return id and version of a revision for which the condition on `r` holds."""
        found = self.rows(
            f"SELECT r.document_id, r.version FROM journal.revision r WHERE {condition} ORDER BY r.sequence_no LIMIT 1"
        )
        return found[0]

    def changed_document(self) -> tuple[str, int]:
        """Return a document whose version, and the one before, have data, with another text in one field."""
        return self.document(
            "r.state = 'normal' AND EXISTS (SELECT FROM journal.revision b WHERE b.document_id = r.document_id "
            "AND b.version = r.version - 1 AND b.state = 'normal' AND EXISTS ("
            "SELECT FROM jsonb_each(r.data) n JOIN jsonb_each(b.data) o USING (key) WHERE n.value <> o.value "
            "AND jsonb_typeof(n.value) = 'string' AND jsonb_typeof(o.value) = 'string'))"
        )


def client_of(console: Console, *, host: str = "127.0.0.1") -> TestClient:
    """Return a client; the server's errors are raised, except those it has a page for."""
    return TestClient(application(console), base_url=ADDRESS, client=(host, 50_000), follow_redirects=False)


def fill(url: str, folder: Path) -> None:
    """Put the sample ledger into a migrated database, with its read models and receipts."""
    simulate(folder, BLOCKS, SEED, Format.ION_BINARY)
    replay_sources(url, local_sources(str(folder / "full")), Settings(workers=1))
    assert hide(url, PROJECTIONS, DATABASE_ONLY) == []


def links(html: str) -> Iterator[str]:
    """Yield every address of the console that a page leads to by a link."""
    for found in re.findall(r'<a [^>]*href="(/[^"]*)"', html):
        yield found.replace("&amp;", "&")


def seen(texts: Iterable[str], answer: str) -> list[str]:
    """Return which texts are in an answer, as they are or escaped."""
    plain = answer.replace("&#39;", "'").replace("&#34;", '"').replace("&amp;", "&")
    return [one for one in texts if one in plain]


def basic(name: str, password: str) -> Mapping[str, str]:
    return {"authorization": f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"}


@contextmanager
def running(console: Console) -> Iterator[str]:
    """Serve a console over a socket; gives its URL."""
    server = HttpServer(application(console), listen_on("127.0.0.1:0", "--listen"))
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
        assert server.join(20)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()
