"""Sessions: each has at most one open transaction, and pages of results. They live in this process alone."""

import asyncio
import random
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hmac import compare_digest
from itertools import chain
from threading import Lock
from typing import Any

from strandline.consumer.background import Background
from strandline.journal.errors import StrandlineError
from strandline.journal.ion import values as ion
from strandline.ledger.endpoint import refusals
from strandline.ledger.endpoint.rights import ANYONE, Caller
from strandline.ledger.execution.access import May
from strandline.ledger.ledger import Ledger
from strandline.ledger.open_transaction import SECONDS, OpenTransaction, Rows

MOST_SESSIONS = 3_000
IDLE_SECONDS = 60.0
SHORTEST_LIFE, LONGEST_LIFE = 13 * 60.0, 17 * 60.0  # at random, so that clients do not all come back at once
PAGE_ROWS = 200
PAGE_BYTES = 1024 * 1024
_SWEEP_SECONDS = 0.5

Page = tuple[list[bytes], str | None]


class Sessions(Background):
    """The sessions of a process. Its thread ends those that are idle, and transactions whose time is over."""

    def __init__(self, ledger: Ledger, most_transactions: int, idle_seconds: float = IDLE_SECONDS) -> None:
        super().__init__("sessions")
        self.ledger = ledger
        self.idle_seconds = idle_seconds
        self.transaction_seconds = SECONDS
        self.most_transactions = most_transactions
        self._sessions: dict[str, Session] = {}
        self._changing = Lock()
        self._open = 0

    def start_session(self, name: str = "", ledger: Ledger | None = None, caller: Caller = ANYONE) -> str:
        """Return the token of a caller's new session with a ledger, by default the one of this object."""
        token = b64encode(secrets.token_bytes(48)).decode()
        with self._changing:
            if len(self._sessions) >= MOST_SESSIONS:
                raise refusals.limit_exceeded(f"{MOST_SESSIONS:,} sessions are open, the most that are allowed")
            self._sessions[token] = Session(self, name, ledger or self.ledger, caller)
        return token

    def session(self, token: str | None) -> "Session":
        with self._changing:
            session = self._sessions.get(token or "")
        if session is None:
            raise refusals.invalid_session("Invalid session")
        return session

    def end_all(self, ledger: Ledger) -> None:
        """End all sessions with a ledger."""
        with self._changing:
            tokens = [token for token, one in self._sessions.items() if one.ledger is ledger]
        for token in tokens:
            self.end_session(token)

    def end_session(self, token: str) -> None:
        with self._changing:
            session = self._sessions.pop(token, None)
        if session is not None:
            session.ended = True
            session.end_transaction()

    def begin(self, ledger: Ledger, may: May | None) -> OpenTransaction:
        """Begin a transaction, if there is room for one more."""
        with self._changing:
            if self._open >= self.most_transactions:
                raise refusals.capacity_exceeded()
            self._open += 1
        try:
            return ledger.begin(self.transaction_seconds, may)
        except BaseException:
            self.ended()
            raise

    def ended(self) -> None:
        """Count a transaction out."""
        with self._changing:
            self._open -= 1

    def run(self) -> None:
        while not self.stopping.wait(_SWEEP_SECONDS):
            self.sweep()
        for token in list(self._sessions):
            self.end_session(token)

    def sweep(self) -> None:
        """End idle sessions and expired transactions."""
        with self._changing:
            sessions = list(self._sessions.items())
        for token, session in sessions:
            # A session in use has a command running, which finds out for itself.
            if session.using.acquire(blocking=False):
                try:
                    session.expire()
                    if session.is_idle:
                        self.end_session(token)
                finally:
                    session.using.release()


class Session:
    """A caller's session with a ledger. Its commands run one after the other: callers hold `turn`, then `using`."""

    def __init__(self, sessions: Sessions, ledger_name: str, ledger: Ledger, caller: Caller) -> None:
        self.ledger_name = ledger_name
        self.ledger = ledger
        self.caller = caller
        self.turn = asyncio.Lock()
        self.using = Lock()
        self.used = time.monotonic()
        self.ended = False
        self._sessions = sessions
        self._ends = time.monotonic() + random.uniform(SHORTEST_LIFE, LONGEST_LIFE)
        self._transaction: OpenTransaction | None = None
        self._expired: str | None = None
        self._committed: tuple[str, bytes] | None = None
        self._pages: dict[str, tuple[Rows, Iterator[Any]]] = {}

    @property
    def is_idle(self) -> bool:
        return time.monotonic() - self.used > self._sessions.idle_seconds

    def start_transaction(self, may: May | None = None) -> str:
        """Begin a transaction and return its id; `may` says which statements are allowed, by default all."""
        if self._transaction is not None:
            raise refusals.bad_request("A transaction is open in this session: commit or abort it first")
        if time.monotonic() > self._ends:
            raise refusals.invalid_session("Session has expired")
        self._transaction = self._sessions.begin(self.ledger, may)
        self._expired = None
        return self._transaction.transaction_id

    def execute(self, transaction_id: str, text: str, parameters: list[Any]) -> tuple[Page, Rows]:
        """Run a statement and return the first page of its rows."""
        transaction = self._current(transaction_id)
        with self._ending():
            rows = transaction.execute(text, *parameters)
            return self._page(rows, rows), rows

    def fetch(self, transaction_id: str, token: str) -> tuple[Page, Rows]:
        """Return the next page of a result."""
        self._current(transaction_id)
        found = self._pages.pop(token, None)
        if found is None:
            raise refusals.bad_request("Invalid page token")
        rows, rest = found
        with self._ending():
            return self._page(rows, rest), rows

    def commit(self, transaction_id: str, digest: str) -> tuple[bytes, int]:
        """Commit if the digest is that of all statements; return it, and the number of documents written.

        A commit that is repeated, because its answer was lost, is answered again.
        """
        given = _decoded(digest)
        if self._committed == (transaction_id, given):
            return given, 0
        transaction = self._current(transaction_id)
        try:
            if not compare_digest(transaction.digest, given):
                raise refusals.bad_request("Digests don't match")
            written = transaction.written
            transaction.commit()
        finally:
            self.end_transaction()
        self._committed = (transaction_id, given)
        return given, written

    def end_transaction(self) -> None:
        """Abort the open transaction, if there is one."""
        transaction, self._transaction = self._transaction, None
        self._pages.clear()
        if transaction is not None:
            try:
                transaction.abort()
            finally:
                self._sessions.ended()

    def expire(self) -> None:
        """End the open transaction if its time is over."""
        if self._transaction is not None and self._transaction.expired:
            self._expired = self._transaction.transaction_id
            self.end_transaction()

    def _current(self, transaction_id: str) -> OpenTransaction:
        self.expire()
        if self._expired == transaction_id:
            raise refusals.invalid_session(f"Transaction {transaction_id} has expired")
        if self._transaction is None or self._transaction.transaction_id != transaction_id:
            raise refusals.bad_request(f"Transaction {transaction_id} is not open in this session")
        return self._transaction

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """End the transaction if the block fails: the drivers abort it, and it holds a connection."""
        try:
            yield
        except StrandlineError:
            self.end_transaction()
            raise

    def _page(self, rows: Rows, rest: Iterator[Any]) -> Page:
        values, size = list[bytes](), 0
        for value in rest:
            if len(values) >= PAGE_ROWS or size >= PAGE_BYTES:
                token = b64encode(secrets.token_bytes(24)).decode()
                self._pages[token] = (rows, chain([value], rest))
                return values, token
            values.append(ion.write(value))
            size += len(values[-1])
        return values, None


def _decoded(digest: str) -> bytes:
    try:
        return b64decode(digest, validate=True)
    except ValueError:
        raise refusals.bad_request("CommitDigest is not base64") from None
