"""The state machine: a ledger is written, handed over in every way and order, projected, broken and mended; the store
must be what the model says after each step, and every read model what a rebuild makes of the journal."""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any, ClassVar
from unittest import mock

import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from psycopg.sql import SQL, Identifier

from strandline.consumer.generations.first_generation import ensure_served
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.stores import DATABASE_ONLY
from strandline.consumer.intake.fast_path import run_of
from strandline.consumer.intake.writer import IntakeResult, JournalWriter
from strandline.consumer.mark.mark import advance
from strandline.consumer.projection.definition import Projection, RowProjection
from strandline.consumer.projector.feed import Limits
from strandline.consumer.projector.projector import Projector
from strandline.consumer.sinks.postgresql import PostgresqlSink
from strandline.consumer.store import field_counts
from strandline.journal.decode import stream
from strandline.journal.decode.archives import decode_records
from strandline.journal.decode.copy_format import Rows
from strandline.journal.decode.objects import decode
from strandline.journal.decode.stream import UserRecord
from tests.databases import migrated_database
from tests.empty_generations import ensure_generation
from tests.faults.crashing import Breakable
from tests.faults.ledger import FLAVOURS, SLOTS, Ledger, parts
from tests.faults.model import Model
from tests.faults.readings import BROKEN, PROJECTIONS, meaning
from tests.journals import STRAND, ion_binary, ion_text, json_lines

FORMS = {"binary": ion_binary, "text": ion_text, "json": json_lines}
MOST_BLOCKS = 24

# A block has one revision of a document.
CHANGES = st.lists(
    st.tuples(st.integers(0, SLOTS - 1), st.sampled_from(FLAVOURS)), max_size=3, unique_by=lambda change: change[0]
)
REDACTION = st.none() | st.integers(0, 30)
# After how many statements the connection breaks: most of what runs has fewer than twenty.
CRASH = st.none() | st.integers(0, 20)
LIMITS = st.builds(Limits, blocks=st.integers(1, 6), revisions=st.integers(1, 6))
WHICH = st.sampled_from(range(len(PROJECTIONS)))
ACTOR = st.sampled_from("ab")
NUMBERS = st.integers(0, 10_000)

JOURNAL = "SELECT sequence_no, document_id, version, state, data ->> 'secret', data_ion FROM journal.revision"
COUNTED = "SELECT table_id, shape, revisions FROM journal.table_shape ORDER BY 1, 2"
SHAPES = """
    SELECT table_id, shape, count(*) FROM journal.revision
    WHERE data IS NOT NULL AND sequence_no <= (SELECT sequence_no FROM journal.mark) GROUP BY 1, 2 ORDER BY 1, 2"""
UNKNOWN_SHAPES = """
    SELECT count(*) FROM journal.revision r
    WHERE r.shape IS NOT NULL AND NOT EXISTS (SELECT FROM journal.shape s WHERE s.shape = r.shape)"""
VERSIONS = "SELECT document_id, version, sequence_no FROM journal.document_version ORDER BY 1, 2, 3"
LOCATED = """
    SELECT document_id, version, sequence_no FROM journal.revision
    WHERE sequence_no <= (SELECT sequence_no FROM journal.mark) ORDER BY 1, 2, 3"""
DOCUMENTS = "SELECT document_id, table_id, version, sequence_no, deleted FROM journal.document ORDER BY 1"
LAST = """
    SELECT DISTINCT ON (document_id) document_id, table_id, version, sequence_no, state = 'deleted'
    FROM journal.revision WHERE sequence_no <= (SELECT sequence_no FROM journal.mark)
    ORDER BY document_id, version DESC"""
TEXTS = "SELECT table_name, field, text_hash, document_id FROM journal.found_text ORDER BY 1, 2, 3, 4"
FOUND = """
    SELECT DISTINCT f.table_name, f.field, hashtextextended(r.data ->> f.field, 0), r.document_id
    FROM journal.found_by f JOIN journal.revision r ON f.table_name IN (r.table_name, '')
    WHERE r.sequence_no <= (SELECT sequence_no FROM journal.mark) AND r.data ->> f.field IS NOT NULL
    ORDER BY 1, 2, 3, 4"""
IN_ORDER = """
    SELECT document_id, table_name, version, sequence_no, state, data FROM journal.revision
    WHERE sequence_no <= (SELECT sequence_no FROM journal.mark) ORDER BY sequence_no, document_id, version"""
GENERATIONS = "SELECT generation, projection, relation, position FROM projection.generation"
PARKED = "SELECT key, version, sequence_no, reason FROM projection.parked WHERE generation = %s"
SOURCES = "SELECT key, document_id, version FROM projection.source WHERE generation = %s"


class Machine(RuleBasedStateMachine):
    """`server` and `template` say where its databases are made; set them on a subclass."""

    server: ClassVar[str]
    template: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._closing = ExitStack()
        url = self._url = self._closing.enter_context(migrated_database(self.server, self.template))
        self._actors = {name: Breakable(url) for name in "abp"}
        for actor in self._actors.values():
            self._closing.callback(actor.close)
        self._watching: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)
        self._closing.callback(self._watching.close)
        self._positions: dict[int, int] = {}
        BROKEN.clear()
        patched = mock.patch.object(field_counts, "LEAST_BLOCKS", 3)  # so that some are counted, and some are not yet
        self._closing.enter_context(patched)

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self._closing.close()

    # What is written, and how it comes in.

    @initialize(blocks=st.lists(st.tuples(CHANGES, REDACTION), min_size=1, max_size=8))
    def begin(self, blocks: list[tuple[Any, int | None]]) -> None:
        self.ledger = Ledger()
        for changes, redaction in blocks:
            self.ledger.write(changes, redaction)
        self.model = Model(self.ledger)

    @precondition(lambda self: self.ledger.tip < MOST_BLOCKS)
    @rule(changes=CHANGES, redaction=REDACTION)
    def write(self, changes: Any, redaction: int | None) -> None:
        self.ledger.write(changes, redaction)

    @rule(first=NUMBERS, length=st.integers(1, 8), as_of=NUMBERS, form=st.sampled_from([*FORMS]), by=ACTOR, crash=CRASH)
    def deliver_object(self, first: int, length: int, as_of: int, form: str, by: str, crash: int | None) -> None:
        take, learn = self._object(first, length, as_of, form)
        if self._attempt(by, crash, take):
            learn()

    @rule(picked=st.lists(NUMBERS, min_size=1, max_size=12), packed=st.booleans(), by=ACTOR, crash=CRASH)
    def deliver_records(self, picked: list[int], packed: bool, by: str, crash: int | None) -> None:
        take, learn = self._records(picked, packed)
        if self._attempt(by, crash, take):
            learn()

    @rule(number=NUMBERS, by=ACTOR, crash=CRASH)
    def deliver_forged(self, number: int, by: str, crash: int | None) -> None:
        """Another block of a number whose true block is here: what comes alone and holds together cannot be told."""
        true = sorted(self.model.headers - {0})
        if not true:
            return
        number = true[number % len(true)]
        rows = decode(ion_binary([self.ledger.forged(number)])).rows
        assert rows is not None
        if self._attempt(by, crash, self._taking([rows])):
            self.model.take_forged(number)

    @rule(by=ACTOR, crash=CRASH)
    def move_mark(self, by: str, crash: int | None) -> None:
        target = self.model.reach()
        done = self._attempt(by, crash, advance)
        mark = self._mark()
        assert self.model.mark <= mark <= target
        assert mark == target or not done
        self.model.move(mark)

    @precondition(lambda self: not self.model.ahead() and self.model.mark < self.ledger.tip)
    @rule(length=st.integers(1, 8), as_of=NUMBERS, by=ACTOR, crash=st.none() | st.integers(0, 12))
    def replay_on(self, length: int, as_of: int, by: str, crash: int | None) -> None:
        """A run that directly continues the chain, as a replay stores it; its connection may break."""
        numbers = range(self.model.mark + 1, min(self.model.mark + length, self.ledger.tip) + 1)
        as_of = numbers[-1] + as_of % (self.ledger.tip - numbers[-1] + 1)
        run = run_of([decode(ion_binary([self.ledger.exported(number, as_of)])) for number in numbers])
        assert run is not None
        store = JournalWriter(self._actors[by].get())
        taken: list[IntakeResult | None] = []

        def take(_: psycopg.Connection[Any]) -> None:
            store.begin_strand(STRAND, 0)
            taken.append(store.intake_run(run, []))

        if self._attempt(by, crash, take):
            assert taken[0] is not None
            self.model.take_blocks(numbers, as_of)
            self.model.move(numbers[-1])

    @rule(first=NUMBERS, length=st.integers(1, 8), picked=st.lists(NUMBERS, min_size=1, max_size=8), which=WHICH)
    def interleave(self, first: int, length: int, picked: list[int], which: int) -> None:
        """Two intakes, each with its own move of the mark, and a projector, at once."""
        jobs = [self._object(first, length, self.ledger.tip, "binary"), self._records(picked, False)]
        failures: list[BaseException] = []

        def run(work: Callable[[], object]) -> None:
            try:
                work()
            except BaseException as exc:
                failures.append(exc)

        def take_and_advance(actor: str, take: Callable[[psycopg.Connection[Any]], object]) -> None:
            take(self._actors[actor].get())
            advance(self._actors[actor].get())

        threads = [
            threading.Thread(target=run, args=(lambda a=actor, t=take: take_and_advance(a, t),))
            for actor, (take, _) in zip("ab", jobs, strict=True)
        ]
        threads.append(threading.Thread(target=run, args=(lambda: self._project(PROJECTIONS[which], Limits()),)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, failures
        before = dict(self.model.held)
        for _, learn in jobs:
            learn()
        self._learn_who_came_first(before)
        assert self._mark() == self.model.reach()  # both have moved it: what came last is passed as well
        self.model.move(self._mark())

    def _learn_who_came_first(self, before: Mapping[tuple[int, int], bool]) -> None:
        """Of a revision that came without its data and with it at once, either may be held."""
        stored = self._watching.execute("SELECT sequence_no, document_id, version, state FROM journal.revision")
        without = {row[:-1] for row in stored if row[-1] == "redacted"}
        for revision, place in self.model.revisions():
            key = revision.sequence_no, place
            named = (revision.sequence_no, revision.document_id, revision.version)
            if key in self.model.held and key not in before and self.ledger.redacted_by(revision) is not None:
                self.model.held[key] = named not in without

    # What is projected.

    @rule(which=WHICH, limits=LIMITS, crash=CRASH)
    def project(self, which: int, limits: Limits, crash: int | None) -> None:
        self._attempt("p", crash, lambda _: self._project(PROJECTIONS[which], limits))

    @rule(document=st.sampled_from([f"D{slot}x{i}" for slot in range(SLOTS) for i in range(2)] + ["B0", "B1"]))
    def break_document(self, document: str) -> None:
        BROKEN.add(document)

    @rule(which=WHICH, crash=CRASH, mended=st.booleans())
    def retry(self, which: int, crash: int | None, mended: bool) -> None:
        if mended:
            BROKEN.clear()
        self._attempt("p", crash, lambda _: self._retry(PROJECTIONS[which]))

    @rule()
    def rebuild(self) -> None:
        """Whatever has happened: once nothing is broken and all is retried, live equals rebuilt."""
        BROKEN.clear()
        for projection in PROJECTIONS:
            self._retry(projection)
            self._project(projection, Limits())
            self._compare(projection)

    # What always holds.

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "model"):
            return
        held = self._watching.execute(JOURNAL).fetchall()
        stored, expected = {tuple(row[:-1]) for row in held}, self.model.journal()
        assert stored == expected, (stored - expected, expected - stored)
        assert self._mark() == self.model.mark
        assert self._numbers("SELECT DISTINCT sequence_no FROM journal.rejected") == self.model.rejected
        gone = self._secrets(self.model.mark)
        assert not [row[0] for row in held if row[-1] and any(secret in row[-1] for secret in gone)]
        # The counts by shape, whatever was lifted, erased or found below the mark, are those of a second pass.
        assert self._watching.execute(COUNTED).fetchall() == self._watching.execute(SHAPES).fetchall()
        # So are the documents and where their versions are.
        assert self._watching.execute(VERSIONS).fetchall() == self._watching.execute(LOCATED).fetchall()
        assert self._watching.execute(DOCUMENTS).fetchall() == self._watching.execute(LAST).fetchall()
        assert self._watching.execute(TEXTS).fetchall() == self._watching.execute(FOUND).fetchall()
        assert self._numbers("SELECT count(*) FROM journal.revision WHERE (shape IS NULL) <> (data IS NULL)") == {0}
        assert self._numbers(UNKNOWN_SHAPES) == {0}
        self._check_generations()

    def _check_generations(self) -> None:
        above = {r.secret for r in self.ledger.revisions if r.sequence_no > self.model.mark and r.secret}
        for generation, _, relation, position in self._watching.execute(GENERATIONS).fetchall():
            assert self._positions.get(generation, -1) <= position <= self.model.mark
            self._positions[generation] = position
            shown = self._text(SQL("SELECT t::text FROM generation.{} t").format(Identifier(relation)))
            waiting = self._text(SQL("SELECT p::text FROM projection.parked p"))
            hidden = above | {secret.decode() for secret in self._secrets(position)}
            assert not [secret for secret in hidden if secret in shown]
            assert "canary" not in waiting
            assert "forged" not in shown

    # How it is done.

    def _object(self, first: int, length: int, as_of: int, form: str) -> tuple[Any, Callable[[], None]]:
        first %= self.ledger.tip + 1
        last = min(first + length - 1, self.ledger.tip)
        as_of = last + as_of % (self.ledger.tip - last + 1)
        numbers = range(first, last + 1)
        decoded = decode(FORMS[form]([self.ledger.exported(number, as_of) for number in numbers]))
        assert decoded.rows is not None
        assert not decoded.faults

        def learn() -> None:
            self.model.take_blocks(numbers, as_of, full=form != "json")

        return self._taking([decoded.rows]), learn

    def _records(self, picked: Iterable[int], packed: bool) -> tuple[Any, Callable[[], None]]:
        there = list(parts(self.ledger))
        chosen = [there[number % len(there)] for number in picked]
        records = [self.ledger.records(number)[place] for number, place in chosen]
        if packed:
            records = list(stream.aggregate(UserRecord("0", record) for record in records))
        decoded = decode_records([(str(index), record) for index, record in enumerate(records)])
        assert decoded.rows is not None
        assert not decoded.faults

        def learn() -> None:
            for number, place in chosen:
                self.model.take_record(number, place)

        return self._taking([decoded.rows]), learn

    def _taking(self, rows: list[Rows]) -> Callable[[psycopg.Connection[Any]], None]:
        def take(connection: psycopg.Connection[Any]) -> None:
            store = JournalWriter(connection)
            store.begin_strand(STRAND, 0)
            store.intake(rows, source="test")

        return take

    def _attempt(self, by: str, crash: int | None, work: Callable[[psycopg.Connection[Any]], object]) -> bool:
        """Return True if it succeeded; a broken one has done no more than it had committed."""
        actor = self._actors[by]
        connection = actor.get()
        actor.arm(crash)
        try:
            work(connection)
        except psycopg.OperationalError:
            if not actor.broken:
                raise
            # As if the time had passed after which a dead process's lease runs out.
            self._watching.execute("UPDATE projection.generation SET expires_at = now() - interval '1 s'")
            return False
        finally:
            actor.arm(None)
        return True

    def _projector(self, projection: Projection, limits: Limits) -> tuple[Projector, Generation] | None:
        connection = self._actors["p"].get()
        generation = ensure_generation(connection, projection)
        if generation is None:
            return None
        sink = PostgresqlSink(connection, projection, generation.relation)
        return Projector(connection, projection, generation.generation, sink, limits), generation

    def _project(self, projection: Projection, limits: Limits) -> Generation | None:
        made = self._projector(projection, limits)
        if made is None:
            return None
        made[0].run_to_mark()
        return made[1]

    def _retry(self, projection: Projection) -> None:
        if made := self._projector(projection, Limits()):
            made[0].retry()

    def _compare(self, projection: Projection) -> None:
        live = self._project(projection, Limits())
        rebuilt = self._project(replace(projection, name=f"again_{projection.name}"), Limits())
        assert (live is None) == (rebuilt is None)
        if live is None or rebuilt is None:
            return
        contents = self._contents(live)
        assert contents == self._contents(rebuilt)
        first = ensure_served(
            self._url, self._actors["p"].get(), replace(projection, name=f"first_{projection.name}"), DATABASE_ONLY
        )
        assert first is not None
        self._compare_first(projection, contents, self._contents(first))
        if isinstance(projection, RowProjection):
            rows, parked, _ = contents
            in_order = self._watching.execute(IN_ORDER).fetchall()
            shown = {(*row[-3:], row[0]) for row in rows}
            assert (shown, {row[:3] for row in parked}) == meaning(projection, in_order)
        for one in (rebuilt, first):
            view, table = Identifier("read", one.projection), Identifier("generation", one.relation)
            self._watching.execute(SQL("DROP VIEW {}; DROP TABLE {}").format(view, table))
            self._watching.execute("DELETE FROM projection.generation WHERE generation = %s", [one.generation])

    def _compare_first(
        self, projection: Projection, followed: tuple[set[Any], ...], first: tuple[set[Any], ...]
    ) -> None:
        """Of what is current, a first fill takes documents that could once not be taken, and now can."""
        recovered = {key for key, *_ in followed[1] - first[1]}
        assert first[1] <= followed[1]
        assert not recovered or (isinstance(projection, RowProjection) and projection.keeps == "current")
        kept = [{row for row in rows if row[-3] not in recovered} for rows in (followed[0], first[0])]
        assert kept[0] == kept[1]
        assert followed[2] == first[2]

    def _contents(self, generation: Generation) -> tuple[set[Any], ...]:
        """Its rows, what is parked, and what composed rows come from."""
        statement = SQL("SELECT * FROM generation.{}").format(Identifier(generation.relation))
        rows = [tuple(map(_hashable, row)) for row in self._watching.execute(statement)]
        assert len(set(rows)) == len(rows)
        others = (self._watching.execute(query, [generation.generation]).fetchall() for query in (PARKED, SOURCES))
        return set(rows), *map(set, others)

    def _end(self) -> None:
        """All is delivered at last, from the last export; then the journal is the ledger's, and so are its readings."""
        if not hasattr(self, "model"):
            return
        for _ in range(2):  # what JSON brought with its data is only lifted once it is erased
            take, learn = self._object(0, self.ledger.tip + 1, self.ledger.tip, "binary")
            self._attempt("a", None, take)
            learn()
            self.ledger.write([])  # what follows decides a fork at the tip
            self.move_mark("a", None)
        self.ledger.write([])
        self.deliver_object(0, self.ledger.tip + 1, 0, "binary", "b", None)
        self.move_mark("b", None)
        assert self.model.mark >= self.ledger.tip - 1
        self.holds()
        self.rebuild()
        self.holds()
        assert self._numbers("SELECT count(*) FROM journal.block WHERE level <> 'full'") == {0}
        assert self._numbers("SELECT count(*) FROM journal.revision WHERE level <> 'full'") == {0}

    def _secrets(self, at: int) -> set[bytes]:
        """Return the data that must be nowhere once the mark is at `at`."""
        return {r.secret.encode() for r in self.ledger.revisions if r.secret and self.model.redacted(r, at)}

    def _mark(self) -> int:
        return next(iter(self._numbers("SELECT sequence_no FROM journal.mark")))

    def _numbers(self, statement: str) -> set[int]:
        return {number for (number,) in self._watching.execute(statement.encode())}

    def _text(self, statement: Any) -> str:
        with suppress(psycopg.errors.UndefinedTable):
            return "\n".join(text for (text,) in self._watching.execute(statement))
        return ""


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
