"""Replays for tests, and what the store holds after them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from strandline.consumer.intake.replay import Replay, replay_sources
from strandline.consumer.settings import Settings
from strandline.journal.sources.source import local_sources
from tests.journals import STRAND, Block, ion_binary

STORE = (
    "SELECT sequence_no, block_hash, level, transaction_info, redaction_info, tables FROM journal.block ORDER BY 1, 2",
    "SELECT sequence_no, hash, document_id, version, table_id, table_name, state, level, data, data_hash, metadata"
    " FROM journal.revision ORDER BY 1, 2",
    "SELECT document_id, version, sequence_no, redacted_by, data_hash FROM journal.redaction ORDER BY 1, 2",
    "SELECT strand_id, origin, sequence_no, block_hash FROM journal.mark",
    "SELECT * FROM journal.user_table ORDER BY 1",
)


def replay(url: str, *addresses: str | Path, origin: int = 0, workers: int = 1) -> Replay:
    sources = [source for address in addresses for source in local_sources(str(address))]
    return replay_sources(url, sources, Settings(origin=origin, workers=workers))


def export(folder: Path, blocks: list[Block], write: Callable[[list[Block]], bytes] = ion_binary) -> str:
    """Write blocks as one export object. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    first, last = (blocks[at]["blockAddress"]["sequenceNo"] for at in (0, -1))
    (folder / f"{STRAND}.{first}-{last}.ion").write_bytes(write(blocks))
    return str(folder)


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[arg-type]


def contents(url: str) -> list[list[tuple[Any, ...]]]:
    return [query(url, statement) for statement in STORE]


def rejected(url: str) -> list[tuple[int | None, str]]:
    return query(url, "SELECT sequence_no, fault FROM journal.rejected ORDER BY 1, 2")
