"""Eight writers append to QLDB's journal and are killed now and then. Two other stores ingest the export and the
stream."""

import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from moto import mock_aws

from strandline.consumer.database.connection import connect
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.settings import Settings
from strandline.consumer.verification.digest import store_digest
from strandline.consumer.verification.verify import verify_sources, verify_store
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from strandline.journal.sources.source import local_sources
from strandline.ledger.publish.export import Exporter
from strandline.ledger.publish.stream import Streamer
from strandline.ledger.publish.target import FolderTarget
from tests.ledger.streams import open_stream, read_stream
from tests.soak.outcome import Outcome, compared

WRITERS = 8
STORE = {
    "block": "SELECT sequence_no, block_hash, level, transaction_info, redaction_info, tables::text FROM journal.block",
    "revision": "SELECT sequence_no, hash, document_id, version, table_id, table_name, state, data::text, data_hash"
    " FROM journal.revision",
    "redaction": "SELECT document_id, version, sequence_no, redacted_by, data_hash FROM journal.redaction",
    "mark": "SELECT strand_id, origin, sequence_no, block_hash FROM journal.mark",
    "user_table": "SELECT table_id, name, status, view_name, indexes::text, first_no FROM journal.user_table",
}
# Each request inserts one document, and its name stands in it until that is erased: then the register holds it.
REQUESTS = """
    SELECT data ->> 'licenceId' FROM journal.revision WHERE version = 0 AND data ->> 'licenceId' ~ '^w[0-9]+/'
    UNION ALL
    SELECT NULL FROM journal.redaction WHERE redacted_by > %s AND version = 0"""
RESURRECTED = """
    SELECT count(*) FROM journal.revision r JOIN journal.redaction d USING (document_id, version)
    WHERE r.data IS NOT NULL OR r.data_ion IS NOT NULL"""


def rows(url: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        return connection.execute(statement.encode(), parameters).fetchall()


def contents(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """The journal in a store."""
    return {table: sorted(rows(url, statement), key=repr) for table, statement in STORE.items()}


def replay(url: str, folder: Path) -> None:
    replay_sources(url, local_sources(str(folder)), Settings(workers=1))


def graft(
    url: str, by_export: str, by_stream: str, folder: Path, *, blocks: int, requests: int, kills: int, random: Random
) -> Outcome:
    """Let each writer send `requests` requests after QLDB's blocks in the first store, and fill the two others from it.

    All three are migrated and empty. Raises AssertionError where the chain, its digests or its proofs do not hold.
    """
    made = simulate(folder / "qldb", blocks, random.getrandbits(32), Format.ION_BINARY)
    replay(url, folder / "qldb" / "full")
    met = _write(url, requests, kills, random)
    found = _requests(url, made.tip, WRITERS * requests)

    assert verify_store(url, workers=1).ok
    assert store_digest(url, made.tip).digest == made.digest  # as it was saved while QLDB ran
    Exporter(url, FolderTarget(folder / "export")).run()
    verified = verify_sources(local_sources(str(folder / "export")), workers=1)
    assert verified.ok
    assert verified.level == "full"
    assert verified.unexplained_redactions == 0
    assert verified.digest == store_digest(url).digest
    replay(by_export, folder / "export")
    _stream(url, folder / "stream")
    replay(by_stream, folder / "stream")

    here = contents(url)
    outcome = compared(here, contents(by_export), kills=met) + compared(here, contents(by_stream), kills=0) + found
    resurrected = sum(rows(one, RESURRECTED)[0][0] for one in (url, by_export, by_stream))
    return outcome + Outcome(resurrected=resurrected)


def _requests(url: str, tip: int, wanted: int) -> Outcome:
    """Return True if each request was executed exactly once."""
    found = [name for (name,) in rows(url, REQUESTS, tip)]
    named = [name for name in found if name is not None]
    return Outcome(lost=max(0, wanted - len(found)), duplicated=max(len(found) - wanted, len(named) - len(set(named))))


def _stream(url: str, folder: Path) -> None:
    """The journal's stream, as an archive of raw records."""
    with mock_aws():
        client = open_stream("ledger")
        Streamer(url, client, "ledger").run()
        folder.mkdir()
        for number, raw in enumerate(read_stream(client, "ledger")):
            (folder / str(number)).write_bytes(raw)


def _write(url: str, requests: int, kills: int, random: Random) -> int:
    """All the writers' work, some killed and started again with the same requests; gives how many were met at work."""
    ((first,),) = rows(url, "SELECT sequence_no FROM journal.mark")
    writers = {f"w{number}": _start(url, f"w{number}", requests) for number in range(WRITERS)}
    met = 0
    try:
        for number, name in enumerate(random.choices(list(writers), k=kills), 1):
            _wait_for_block(url, first + number * WRITERS * requests // (kills + 2), writers)
            met += writers[name].poll() is None
            _end(writers[name])
            writers[name] = _start(url, name, requests)
        for writer in writers.values():
            _, said = writer.communicate(timeout=600)
            assert writer.returncode == 0, said.decode()[-2000:]
    finally:
        for writer in writers.values():
            _end(writer)
    return met


def _wait_for_block(url: str, number: int, writers: "dict[str, subprocess.Popen[bytes]]") -> None:
    while rows(url, "SELECT sequence_no FROM journal.mark") < [(number,)]:
        assert any(writer.poll() is None for writer in writers.values()), "all ended, and wrote too little"
        time.sleep(0.02)


def _start(url: str, name: str, requests: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.ledger.writer", url, name, str(requests)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def _end(writer: "subprocess.Popen[bytes]") -> None:
    writer.kill()
    writer.communicate()
