"""Cost grows with the work, not with what lies in the store: rows that PostgreSQL reads for one small piece of work.

The store holds 3,000 blocks and has no statistics, as after a replay: a plan that a planner chooses blindly shows here.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.purge import hide, purge_and_issue
from strandline.consumer.erasure.subjects import find_subject
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.stores import DATABASE_ONLY
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.intake.stream import StreamIntake
from strandline.consumer.intake.stream_records import Received
from strandline.consumer.mark.gaps import gaps
from strandline.consumer.monitoring.status import read_status
from strandline.consumer.projection.discovery import discover
from strandline.consumer.settings import Settings
from strandline.consumer.verification.digest import store_digest
from strandline.consumer.verification.prove import prove
from strandline.journal.decode.stream import block_records
from strandline.journal.ion import values as ion
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from strandline.journal.sources.source import all_items, local_sources
from strandline.ledger import Ledger, Transaction
from strandline.ledger.redaction import redact_revision
from tests import databases
from tests.streamed import ARN

BLOCKS = 6_000  # of which the store holds the first half
MOST = 200  # rows of one table that one piece of work may read
OF_A_PROOF = 600  # blocks: those beside the stored roots, each of 512
PROJECTIONS = discover(("strandline.projections",))
# A table of a few pages is as fast to read as an index of it.
FEW_BYTES = 32 * 8192
READ = f"""
    SELECT t.schemaname || '.' || t.relname,
           CASE WHEN pg_relation_size(t.relid) > {FEW_BYTES} THEN t.seq_tup_read ELSE 0 END
           + coalesce((SELECT sum(i.idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid), 0)
    FROM pg_stat_user_tables t"""
OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("journal")
    simulate(folder, BLOCKS, seed=11, format=Format.ION_BINARY)
    return folder


@pytest.fixture(scope="module")
def store(postgres_url: str, migrated_template: str, journal: Path) -> Iterator[str]:
    with databases.migrated_database(postgres_url, migrated_template) as url:
        with connect(url, autocommit=True) as connection:
            tables = "SELECT format('ALTER TABLE %%s SET (autovacuum_enabled = off)', oid::regclass) FROM pg_class"
            for (statement,) in connection.execute(
                f"{tables} WHERE relnamespace = 'journal'::regnamespace AND relkind = 'r'".encode(), []
            ).fetchall():
                connection.execute(statement)
        replay_sources(url, local_sources(str(journal / "early")), Settings())
        assert not hide(url, PROJECTIONS, DATABASE_ONLY)
        store_digest(url)
        with Ledger(url) as ledger:  # the graft
            ledger.execute(lambda txn: txn.insert("Licence", _licence("first")))
        hide(url, PROJECTIONS, DATABASE_ONLY)
        with connect(url) as connection:
            connection.execute("SELECT journal.count_shapes(0)")
        store_digest(url)
        status(url)  # the first one marks what is dead in the index of open redactions
        yield url


def _licence(licence: str) -> dict[str, object]:
    return {"licenceId": licence, "firstName": "Ada", "lastName": "Byron", "points": 0}


def _read(url: str) -> dict[str, int]:
    with psycopg.connect(url, autocommit=True) as connection:
        until = time.monotonic() + 20
        while connection.execute(OTHERS).fetchone() != (0,):  # their counts are there once they have ended
            assert time.monotonic() < until, "a connection stays open"
            time.sleep(0.01)
        return dict(connection.execute(READ).fetchall())


def most_read(url: str, work: Callable[[str], object], most: int = MOST) -> dict[str, int]:
    """Return the tables of which the work reads many rows, with their number."""
    before = _read(url)
    work(url)
    after = _read(url)
    return {name: rows - before.get(name, 0) for name, rows in after.items() if rows - before.get(name, 0) > most}


def status(url: str) -> None:
    with connect(url) as connection:
        read_status(connection, PROJECTIONS.values())


def replay_nothing(url: str) -> None:
    """What follows each replay, however small: the mark, gaps, and what came as JSON."""
    replay_sources(url, [], Settings())


def append(url: str) -> None:
    with Ledger(url) as ledger:
        ledger.execute(lambda txn: txn.insert("Licence", _licence("added")))


def project_one_block(url: str) -> None:
    project(url, PROJECTIONS)


def redact(url: str) -> None:
    def write(txn: Transaction) -> str:
        return txn.insert("Licence", _licence("redacted"))

    with Ledger(url) as ledger:
        document = ledger.execute(write)
        ledger.execute(lambda txn: txn.update("Licence", document, {"points": 1}))
        project(url, PROJECTIONS)
        redact_revision(ledger, document, 0)
        project(url, PROJECTIONS)


def issue_receipts(url: str) -> None:
    with connect(url) as connection:
        assert purge_and_issue(connection, PROJECTIONS, DATABASE_ONLY).receipts


def find_person(url: str) -> None:
    with connect(url) as connection:
        name = "Licence.licenceId"
        assert find_subject(connection, {name: ("Licence", "licenceId")}, name, "first")


def make_proof(url: str) -> None:
    with connect(url) as connection:
        (document,) = connection.execute("SELECT document_id FROM journal.document LIMIT 1").fetchone() or ("",)
    prove(url, document, 0)


def count_gaps(url: str) -> None:
    with connect(url) as connection:
        gaps(connection)


WORK: list[Callable[[str], object]] = [
    status,
    replay_nothing,
    append,
    project_one_block,
    redact,
    find_person,
    count_gaps,
]


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_small_work_reads_few_rows(store: str, work: Callable[[str], object]) -> None:
    assert most_read(store, work) == {}


@pytest.mark.parametrize("work", [store_digest, make_proof])
def test_proof_reads_few_blocks(store: str, work: Callable[[str], object]) -> None:
    assert most_read(store, work, OF_A_PROOF) == {}


def test_receipt_reads_few_rows(store: str) -> None:
    redact(store)
    assert most_read(store, issue_receipts) == {}


def test_block_of_a_stream_reads_few_rows(postgres_url: str, migrated_template: str, journal: Path, store: str) -> None:
    (item, *_) = all_items(local_sources(str(journal / "late")))
    blocks = list(ion.read(item.files[0].read()))
    with databases.migrated_database(postgres_url, migrated_template) as url:
        replay_sources(url, local_sources(str(journal / "early")), Settings())

        def take(block: dict[str, object]) -> None:
            records = [Received(one.data, f"{at}.0") for at, one in enumerate(block_records(ARN, block))]
            with connect(url) as connection:
                intake = StreamIntake(connection, stream="s", shard="0", origin=0, trust_deletions=False)
                assert intake.take(records).mark == block["blockAddress"]["sequenceNo"]  # type: ignore[index]

        take(blocks[0])
        assert most_read(url, lambda _: take(blocks[1])) == {}


def test_receipts_of_many_redactions_read_their_rows_alone(
    postgres_url: str, migrated_template: str, journal: Path
) -> None:
    with databases.migrated_database(postgres_url, migrated_template) as url:
        replay_sources(url, local_sources(str(journal / "early")), Settings())
        project(url, PROJECTIONS)
        before = _read(url)
        with connect(url) as connection:
            receipts = purge_and_issue(connection, PROJECTIONS, DATABASE_ONLY).receipts
        assert receipts > 200
        assert {name for name, rows in _read(url).items() if rows - before.get(name, 0) > 5 * receipts} == set()
