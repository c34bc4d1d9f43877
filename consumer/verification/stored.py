"""Checks of the store that need no order: ranges of blocks, and what is derived from them. For threads or processes."""

from queue import Empty, SimpleQueue

import psycopg

from strandline.consumer.database.connection import AUDITOR, Connection, connect
from strandline.consumer.store.blocks import count_stored
from strandline.consumer.store.documents import check_documents, check_range
from strandline.consumer.store.restored import check_unverified
from strandline.consumer.store.text_checks import check_lookups, check_texts
from strandline.consumer.verification.scope import Scope
from strandline.journal.check.block import Fault
from strandline.journal.decode.objects import Decoded


class BlockChecks:
    """Checks ranges of blocks on the threads of a pool, which share its connections: each is used by one at a time."""

    def __init__(self, url: str, *, trust_deletions: bool = False) -> None:
        self._url, self._trust_deletions = url, trust_deletions
        self._free: SimpleQueue[Connection] = SimpleQueue()

    def __enter__(self) -> "BlockChecks":
        return self

    def __exit__(self, *_: object) -> None:
        while not self._free.empty():
            self._free.get().close()

    def check(self, blocks: range) -> Decoded:
        """Check these blocks, in one snapshot."""
        try:
            connection = self._free.get_nowait()
        except Empty:
            connection = _connect(self._url)
        try:
            found = _check(connection, blocks, self._trust_deletions)
        except BaseException:
            connection.close()
            raise
        self._free.put(connection)
        return found


def check_blocks(url: str, trust_deletions: bool, blocks: range) -> Decoded:
    """Check these blocks, in one snapshot; for a process of its own."""
    with _connect(url) as connection:
        return _check(connection, blocks, trust_deletions)


def _connect(url: str) -> Connection:
    connection = connect(url, role=AUDITOR)
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return connection


def _check(connection: Connection, blocks: range, trust_deletions: bool) -> Decoded:
    with connection.transaction():
        return count_stored(connection, blocks[0], blocks[-1], trust_deletions=trust_deletions)


def check_derived(url: str, scope: Scope) -> list[Fault]:
    """Compare with the revisions: where their versions are, which is the last, and by what documents are found.

    Unless all blocks are in scope, only what derives from these is compared.
    """
    first, last = scope.first_no, scope.last_no
    with connect(url, role=AUDITOR) as connection:
        faults = list(check_range(connection, first, last))
        if scope.full:
            faults += check_documents(connection)
            faults += check_unverified(connection)
        faults += check_texts(connection, first, last, everything=scope.full)
        faults += check_lookups(connection, first, last, everything=scope.full)
    return faults
