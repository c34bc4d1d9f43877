"""Tampered journals through `replay` and a projector: nothing changed is stored as verified."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.generation import Generation
from strandline.consumer.intake.replay import Replay, replay_sources
from strandline.consumer.intake.writer import ForeignStrand
from strandline.consumer.projection.definition import Column, Revision, RowProjection, Rows
from strandline.consumer.projector.projector import Projector
from strandline.consumer.settings import Settings
from strandline.consumer.sinks.postgresql import PostgresqlSink
from strandline.journal.decode import kernel
from strandline.journal.sources.source import local_sources
from tests import tampering
from tests.databases import migrated_database
from tests.empty_generations import ensure_generation
from tests.journals import Block, ion_binary, small_journal

Held = dict[str, list[tuple[Any, ...]]]
Tamper = Callable[[list[Block]], None]

HELD = {
    "block": "SELECT sequence_no, block_hash, transaction_info, redaction_info FROM journal.block ORDER BY 1, 2",
    "revision": "SELECT sequence_no, hash, document_id, version, state, data, data_ion FROM journal.revision"
    " ORDER BY 1, 2",
    "redaction": "SELECT redacted_by, document_id, version FROM journal.redaction ORDER BY 1",
    "projected": "SELECT source_block, source_document, source_version, status FROM read.changes ORDER BY 1, 2, 3",
}

# Where a replay comes to, and what it says, if that is not a mark just below the fault and the fault that `verify` has:
# it takes blocks in any order, and only the chain tells it which of them belong.
OTHERWISE = {
    tampering.drop_block: (3, None),  # a gap
    tampering.swap_blocks: (8, None),
    tampering.swap_numbers: (3, "link"),
    tampering.twice_with_other_content: (8, "fork"),
    tampering.move_revision: (2, "revisions"),
    tampering.relink: (4, "link"),
}


def rows(revision: Revision) -> Rows:
    yield {"status": revision.text("status")}


CHANGES = RowProjection(
    name="changes",
    purpose="Test.",
    tables=("Licence",),
    keeps="history",
    readers="analysts",
    columns=(Column("status", "text", ""),),
    rows=rows,
)


FILLED = "block revision document document_version redaction rejected object shape_count".split()


class Emptied:
    """A store, empty but for a read model, and so again for each journal that is taken in."""

    def __init__(self, url: str, connection: psycopg.Connection[Any]) -> None:
        self._url = url
        self._connection = connection
        self._generation: Generation | None = None

    def take(self, folder: Path, blocks: list[Block]) -> Replay:
        """Replay the blocks into the emptied store, and project them."""
        (folder / "export.ion").write_bytes(ion_binary(blocks))
        self._empty()
        done = replay_sources(self._url, local_sources(str(folder / "export.ion")), Settings(workers=1))
        self._project()
        return done

    def _project(self) -> None:
        self._generation = self._generation or ensure_generation(self._connection, CHANGES)
        assert self._generation is not None  # it is made with the first journal, which has the table
        sink = PostgresqlSink(self._connection, CHANGES, self._generation.relation)
        Projector(self._connection, CHANGES, self._generation.generation, sink).run_to_mark()

    def held(self) -> Held:
        with self._connection.transaction():
            return {name: self._connection.execute(statement.encode()).fetchall() for name, statement in HELD.items()}

    def rejected(self) -> list[str]:
        with self._connection.transaction():
            return [fault for (fault,) in self._connection.execute("SELECT fault FROM journal.rejected")]

    def mark(self) -> tuple[Any, ...] | None:
        with self._connection.transaction():
            return self._connection.execute("SELECT strand_id, sequence_no FROM journal.mark").fetchone()

    def _empty(self) -> None:
        with self._connection.transaction():
            for name in FILLED:
                self._connection.execute(SQL("DELETE FROM journal.{}").format(Identifier(name)))
            self._connection.execute("UPDATE journal.mark SET strand_id = NULL, sequence_no = -1, block_hash = NULL")
            self._connection.execute("UPDATE journal.shape_position SET sequence_no = -1")
            if self._generation is not None:
                self._connection.execute("UPDATE projection.generation SET position = -1")
                self._connection.execute(SQL("DELETE FROM generation.{}").format(Identifier(self._generation.relation)))


@pytest.fixture(scope="module")
def store(postgres_url: str, migrated_template: str) -> Iterator[Emptied]:
    with migrated_database(postgres_url, migrated_template) as url, connect(url) as connection:
        yield Emptied(url, connection)


@pytest.fixture(params=["python", "native"])
def kernel_used(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "python":
        monkeypatch.setattr(kernel, "_NATIVE", None)
    elif kernel.KERNEL != "native":
        pytest.skip("not built: make native")
    return str(request.param)


@pytest.fixture(scope="module")
def untouched(store: Emptied, tmp_path_factory: pytest.TempPathFactory) -> Held:
    """Return the part of the journal, as it was written, that the store holds."""
    assert store.take(tmp_path_factory.mktemp("untouched"), small_journal()).mark == 8
    held = store.held()
    assert {name: len(found) for name, found in held.items()} == {
        "block": 9,
        "revision": 6,
        "redaction": 1,
        "projected": 6,
    }
    return held


@pytest.mark.usefixtures("kernel_used")
@pytest.mark.parametrize(
    ("tamper", "expected"),
    [row for row in tampering.TABLE if row[0] is not tampering.other_strand],
    ids=[row[0].__name__ for row in tampering.TABLE if row[0] is not tampering.other_strand],
)
def test_the_mark_stays_below_a_change_and_nothing_of_it_is_held_as_good(
    store: Emptied, untouched: Held, tmp_path: Path, tamper: Tamper, expected: tuple[int, str]
) -> None:
    blocks = small_journal()
    tamper(blocks)
    mark, fault = OTHERWISE.get(tamper, (expected[0] - 1, expected[1]))

    done = store.take(tmp_path, blocks)

    assert done.mark == mark
    rejected = store.rejected()
    assert done.rejected == len(rejected)
    assert fault is None or fault in rejected
    held = store.held()
    for name in ("redaction", "projected"):
        assert held[name] == [row for row in untouched[name] if row[0] <= mark]
    for name in ("block", "revision"):
        assert [row for row in held[name] if row[0] <= mark] == [row for row in untouched[name] if row[0] <= mark]
    assert set(map(repr, held["revision"])) <= set(map(repr, untouched["revision"]))


@pytest.mark.usefixtures("kernel_used", "untouched")
def test_blocks_of_two_strands_bind_the_store_to_neither(store: Emptied, tmp_path: Path) -> None:
    blocks = small_journal()
    tampering.other_strand(blocks)

    with pytest.raises(ForeignStrand, match=r"OtherStrand0.*Strand0"):
        store.take(tmp_path, blocks)

    assert store.mark() == (None, -1)
    assert {name for name, found in store.held().items() if found} == set()
