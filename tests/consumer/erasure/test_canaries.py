"""Canaries: logs, metrics, errors and rejected records never show the data of a redacted revision."""

import io
import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.expunge import expunge
from strandline.consumer.erasure.receipts import open_for
from strandline.consumer.generations.stores import DATABASE_ONLY
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.logging import start_logging
from strandline.consumer.monitoring.exposition import Exposition
from strandline.consumer.monitoring.status import read_status
from strandline.consumer.projection.definition import Column, Projection, Revision, RowProjection, Unprojectable
from strandline.consumer.settings import Settings
from strandline.consumer.store.rejected import read_rejected
from strandline.consumer.worker.projectors import ProjectorThreads
from strandline.journal.decode import stream
from strandline.journal.ion import values as ion
from strandline.journal.sources.source import local_sources
from tests.consumer.erasure.canaries import canaries
from tests.consumer.erasure.conftest import Replayed
from tests.consumer.erasure.dump import relations_with
from tests.consumer.erasure.searched import COMPOSED, HERE
from tests.consumer.worker.live import wait_for
from tests.journals import Block

COLUMNS = (Column("name", "text", ""), Column("number", "integer", ""))


def failing_rows(revision: Revision) -> Iterator[Mapping[str, object]]:
    """Raise errors that quote the data, as PostgreSQL's own do for a value of the wrong type."""
    if revision.version == 0:
        raise RuntimeError(revision.text("firstName"))
    yield {"name": revision.text("firstName"), "number": revision.text("firstName")}


def refusing_rows(revision: Revision) -> Iterator[Mapping[str, object]]:
    if revision.data is not None:
        raise Unprojectable("it has data")
    yield {"name": None}


FAILING = RowProjection("failing", "Test.", ("Licence",), "history", "cleared", COLUMNS, failing_rows)
REFUSING = RowProjection("refusing", "Test.", ("Licence",), "history", "cleared", COLUMNS, refusing_rows)
PROJECTIONS: dict[str, Projection] = {**HERE, FAILING.name: FAILING, REFUSING.name: REFUSING}


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Capture all logs, of structlog and of the standard library, at any level."""
    text = io.StringIO()
    level, handlers = logging.root.level, logging.root.handlers[:]
    start_logging(file=text)
    logging.root.addHandler(logging.StreamHandler(text))
    logging.root.setLevel(logging.DEBUG)
    yield text
    structlog.reset_defaults()
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers


def forged(block: Block) -> bytes:
    """Return the stream's record of its revision, with data that do not match the hash."""
    record = ion.read_one(list(stream.block_records("arn:aws:qldb:eu-west-2:1:stream/s/0", block))[1].data)
    data = {**record["payload"]["revision"]["data"], "status": "Forged"}
    revision = {**record["payload"]["revision"], "data": data}
    return ion.write({**record, "payload": {**record["payload"], "revision": revision}})


def strings_in(text: str, strings: list[str]) -> set[str]:
    return {string for string in strings if string in text}


def test_logs_metrics_and_parked_documents_have_no_payload(
    store: Replayed, logged: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = canaries()
    store.projections = PROJECTIONS
    shown = Exposition(store.url, tmp_path, PROJECTIONS, timedelta(hours=1))

    def is_done() -> bool:
        with connect(store.url) as connection:
            return read_status(connection, PROJECTIONS.values()).redactions.done == len(made.strings)

    worker = ProjectorThreads(store.url, PROJECTIONS)
    worker.start()
    try:
        store.take(made.blocks[: made.first_redaction])
        wait_for(lambda: len(store.rows("SELECT FROM projection.parked")) >= len(made.strings))
        before = shown.text().decode()
        assert "strandline_projection_parked" in before
        assert relations_with(store.url, made.strings)["read.licence_history"] == set(made.strings)
        parked = store.rows("SELECT reason FROM projection.parked")
        assert strings_in(str(parked), made.strings) == set()
        assert {reason.partition(" in line")[0] for (reason,) in parked} >= {"RuntimeError", "it has data"}
        store.take(made.blocks)
        wait_for(is_done)
    finally:
        worker.stop()
        assert worker.join(30)
    log, metrics = logged.getvalue(), shown.text().decode()
    assert "receipts written" in log
    assert strings_in(log + before + metrics, made.strings) == set()
    assert relations_with(store.url, made.strings) == {}
    with connect(store.url) as connection:
        assert open_for(connection) is None


def test_each_probe_finds_a_planted_canary(store: Replayed, logged: io.StringIO, tmp_path: Path) -> None:
    """Positive controls of the probes above, in places that a canary never reaches."""
    made = canaries(documents=1)
    store.projections = PROJECTIONS
    store.replay(made.blocks)
    canary = made.strings[0]
    structlog.get_logger().warning("control", value=canary)
    logging.getLogger("other").debug("control %s", made.strings[1])
    assert strings_in(logged.getvalue(), made.strings) == set(made.strings)
    planted: dict[str, tuple[str, str]] = {
        "projection.parked": (
            "INSERT INTO projection.parked (generation, key, version, sequence_no, reason) "
            "SELECT min(generation), 'k', 0, 0, %s FROM projection.generation",
            "DELETE FROM projection.parked WHERE key = 'k'",
        ),
        "projection.source": (
            "INSERT INTO projection.source SELECT min(generation), %s, 'd', 0 FROM projection.generation",
            "DELETE FROM projection.source WHERE document_id = 'd'",
        ),
        "projection.receipt": (
            "INSERT INTO projection.receipt VALUES (999, 'd', 0, 'postgresql', 'hidden', %s, '')",
            "DELETE FROM projection.receipt WHERE number = 999",
        ),
        "journal.rejected": (
            "INSERT INTO journal.rejected (source, fault, detail, record, digest) "
            "VALUES ('', '', '', convert_to(%s, 'UTF8'), 'control')",
            "DELETE FROM journal.rejected WHERE digest = 'control'",
        ),
        "journal.redaction": (
            "INSERT INTO journal.redaction VALUES (%s, 0, 't', 0, 0, NULL)",
            "DELETE FROM journal.redaction WHERE table_id = 't'",
        ),
    }
    for where, (plant, take_away) in planted.items():
        store.rows(plant, canary, returns=False)
        assert set(relations_with(store.url, [canary])) - {"pg_stats"} == {where}
        store.rows(take_away, returns=False)
    store.rows("INSERT INTO journal.stream (name, heard_at) VALUES (%s, now())", canary, returns=False)
    metrics = Exposition(store.url, tmp_path, PROJECTIONS, timedelta(hours=1)).text().decode()
    assert strings_in(metrics, made.strings) == {canary}


def test_rejected_records_are_purged_and_never_shown(store: Replayed, tmp_path: Path, logged: io.StringIO) -> None:
    made = canaries(documents=1)
    store.replay(made.blocks)
    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "one").write_bytes(forged(made.blocks[1]))
    refused = replay_sources(store.url, local_sources(str(folder)), Settings(workers=1))
    assert refused.rejected == 1
    assert set(relations_with(store.url, made.strings)) == {"journal.rejected"}
    with connect(store.url) as connection:
        kept = read_rejected(connection, 10)
    assert [one.size is not None for one in kept] == [True]
    told: list[Any] = [one.as_dict() for one in kept]
    assert strings_in(str(told) + logged.getvalue() + str(refused), made.strings) == set()
    done = expunge(store.url, store.projections, stores=DATABASE_ONLY, rejected_days=0)
    assert done.rejected_purged == 1
    assert relations_with(store.url, made.strings) == {}


def test_composed_key_from_the_payload_is_forgotten(store: Replayed) -> None:
    """Neither the row's key nor the record of its sources outlives the data."""
    made = canaries(documents=2)
    store.projections = PROJECTIONS
    for number in range(made.first_redaction):
        store.replay(made.blocks[: number + 1])
        if number == 1:
            found = relations_with(store.url, made.strings[:1])
            assert {"projection.source", f"read.{COMPOSED.name}"} <= set(found)
    store.replay(made.blocks)
    assert relations_with(store.url, made.strings) == {}
