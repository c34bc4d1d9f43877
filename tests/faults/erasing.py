"""The state machine with all that faces erasure: read models rebuilt and rolled back, deleted bytes made to go, and the
register taken to a fresh store that old exports are then replayed into."""

from contextlib import suppress
from typing import Any

import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.expunge import expunge
from strandline.consumer.erasure.receipt_check import check_receipts
from strandline.consumer.erasure.receipts import issue_hidden
from strandline.consumer.erasure.register import Register, import_register, read_register
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.rebuild import rebuild
from strandline.consumer.generations.rollback import rollback
from strandline.consumer.generations.stores import DATABASE_ONLY
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.mark import advance, read_mark
from strandline.journal.decode.objects import decode
from strandline.journal.errors import StrandlineError
from tests.databases import migrated_database
from tests.empty_generations import ensure_generation
from tests.faults.machine import FORMS, JOURNAL, WHICH, Machine
from tests.faults.readings import BROKEN, PROJECTIONS

BY_NAME = {one.name: one for one in PROJECTIONS}
KEPT = "SELECT generation FROM projection.generation WHERE projection = %s AND state = 'kept'"
LEVELS = "SELECT level, count(*) FROM projection.receipt GROUP BY 1"
OPEN = """
    SELECT count(*) FROM journal.redaction d, journal.mark m
    WHERE d.effective_no <= m.sequence_no AND NOT EXISTS (
        SELECT FROM projection.receipt r
        WHERE (r.document_id, r.version, r.level) = (d.document_id, d.version, 'hidden'))"""


# What the register and the head say of receipts, beside the receipts themselves.
HIDDEN = "SELECT (SELECT count(*) FROM journal.redaction WHERE hidden), (SELECT hidden FROM projection.receipt_head)"
RECEIPTS = "SELECT count(DISTINCT (document_id, version)) FROM projection.receipt WHERE level = 'hidden'"


class ErasingMachine(Machine):
    """See `Machine`."""

    def __init__(self) -> None:
        super().__init__()
        self._imported = self._expunged = self._rebuilt = 0

    # Some take longer than all others: there are few of them in a history, and none that has nothing to do.
    @precondition(lambda self: self._expunged < 2 and self._some_are_redacted())
    @rule(physical=st.booleans())
    def expunge(self, physical: bool) -> None:
        """Whatever is hidden everywhere reaches the level, and whatever has reached one is nowhere."""
        self._expunged += 1
        self._begin_generations()
        done = expunge(self._url, BY_NAME, physical=physical, rejected_days=0)
        assert (done.skipped, done.residue) == ([], [])
        levels = dict(self._watching.execute(LEVELS).fetchall())
        assert levels.get("physical" if physical else "expunged", 0) == levels.get("hidden", 0)
        with connect(self._url) as connection:
            assert check_receipts(connection, BY_NAME, DATABASE_ONLY).holds

    @precondition(lambda self: self._some_are_redacted())
    @rule()
    def hide(self) -> None:
        """When every projection has come to the mark no redaction is open."""
        self._begin_generations()
        project(self._url, BY_NAME)
        with connect(self._url) as connection:
            assert issue_hidden(connection, BY_NAME, DATABASE_ONLY).residue == []
        assert self._numbers(OPEN) == {0}
        receipts = self._watching.execute(RECEIPTS).fetchone()
        assert receipts is not None
        assert self._watching.execute(HIDDEN).fetchone() == receipts * 2

    @precondition(lambda self: self._rebuilt < 2)
    @rule(which=WHICH)
    def rebuild_and_swap(self, which: int) -> None:
        """Another generation is served, and the one before goes on."""
        name = self._mended(which)
        with suppress(StrandlineError):  # nothing of it is in the ledger yet
            done = rebuild(self._url, BY_NAME, name)
            self._rebuilt += 1
            assert (done.swapped, done.difference) == (True, None)

    @precondition(lambda self: self._rebuilt > 0)
    @rule(which=WHICH)
    def roll_back(self, which: int) -> None:
        name = self._mended(which)
        kept = self._watching.execute(KEPT, [name]).fetchone()
        with suppress(StrandlineError):
            done = rollback(self._url, BY_NAME, name)
            assert kept == (done.generation,)
            kept = None
        assert kept is None

    def _some_are_redacted(self) -> bool:
        return self._numbers("SELECT count(*) FROM journal.redaction") != {0}

    def _begin_generations(self) -> None:
        """The next step works as it should, on generations that are followed from the first block on: of a document
        that could once not be taken, the first generation that the system builds may hold more (`_compare_first`)."""
        BROKEN.clear()
        for projection in PROJECTIONS:
            ensure_generation(self._actors["p"].get(), projection)

    def _mended(self, which: int) -> str:
        """A document that is parked only because of the break would be parked in one generation alone."""
        BROKEN.clear()
        self._retry(PROJECTIONS[which])
        return PROJECTIONS[which].name

    @precondition(lambda self: self._imported < 1 and self._some_are_redacted())
    @rule(form=st.sampled_from([*FORMS]), length=st.integers(1, 12))
    def import_register(self, form: str, length: int) -> None:
        """Into a fresh store; nothing that it names gets in there by exports that were made before its redaction."""
        self._imported += 1
        with connect(self._url) as connection:
            register = read_register(connection)
        with migrated_database(self.server, self.template) as url:
            with connect(url) as connection:
                assert import_register(connection, register, 0) == len(register.entries)
                self._replay_old(connection, register, form, length)
                assert read_mark(connection).sequence_no == self.ledger.tip
                mine = {(one.document_id, one.version, one.data_hash) for one in read_register(connection).entries}
                assert {(one.document_id, one.version) for one in register.entries} <= {one[:2] for one in mine}
            BROKEN.clear()
            project(url, BY_NAME)
            with connect(url) as connection:
                assert issue_hidden(connection, BY_NAME, DATABASE_ONLY).residue == []
                assert check_receipts(connection, BY_NAME, DATABASE_ONLY).receipts == len(mine)

    def _replay_old(self, connection: psycopg.Connection[Any], register: Register, form: str, length: int) -> None:
        """Every block as it was exported when it had just been written."""
        store = JournalWriter(connection)
        store.begin_strand(register.strand_id, 0)
        named = {(one.document_id, one.version) for one in register.entries}
        for first in range(0, self.ledger.tip + 1, length):
            numbers = range(first, min(first + length, self.ledger.tip + 1))
            rows = decode(FORMS[form]([self.ledger.exported(number, number) for number in numbers])).rows
            assert rows is not None
            store.intake([rows], source="test")
            held = connection.execute(JOURNAL).fetchall()
            assert not [row for row in held if row[1:3] in named and (row[3] == "normal" or row[4] or row[5])]
            connection.commit()
            advance(connection)
