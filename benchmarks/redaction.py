"""The cost of redactions: a purge of many at once, and a replay of a journal with 1 % redactions."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.journal import checkpoint
from benchmarks.measuring import Figure, Measured, Options, database, run, server, timed
from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.purge import hide
from strandline.consumer.erasure.receipts import issue_hidden
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.stores import DATABASE_ONLY
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.mark import advance
from strandline.consumer.projection.discovery import discover
from strandline.consumer.settings import Settings
from strandline.journal.decode.objects import decode
from strandline.journal.make.block import BlockMaker, NewRedaction, NewRevision, Statement, timestamp
from strandline.journal.make.export import encode
from strandline.journal.make.format import Format
from strandline.journal.simulation.ledger import new_id
from strandline.journal.simulation.simulate import simulate
from strandline.journal.sources.source import local_sources

Block = dict[str, Any]
_TABLE = "TableLicence0000000000"
_AT_ONCE = 2_000
_PURGES = (1_000, 10_000)
_SHARE = 0.01
_TURNS = 3
_REVISIONS_A_BLOCK = 1.65  # of the simulated licence ledger


def measure(options: Options) -> Iterator[Figure]:
    """Measure purges, many against few (1 is linear), and a replay with redactions against one without."""
    with server(options.folder) as url:
        purged = [_purged(url, count) for count in _PURGES]
        for count, measured in zip(_PURGES, purged, strict=True):
            yield Figure(f"{count:,} at once", "purge", measured, measured.rate / purged[0].rate, f"{_PURGES[0]:,}")
        without, with_them = _replayed(url, options)
        yield Figure("no redactions", "replay", without, 1.0, "none")
        yield Figure(f"{_SHARE:.0%} redactions", "replay", with_them, with_them.rate / without.rate, "none")


def _purged(url: str, count: int) -> Measured:
    with database(url, f"purge_{count}") as store:
        return run(purge, store, count)


def _replayed(url: str, options: Options) -> list[Measured]:
    """Replay without and with redactions, in turns, since a machine's speed varies. Returns the median of each."""
    shares = (0.0, _SHARE)
    folders = [str(options.folder / f"share_{share}") for share in shares]
    for folder, share in zip(folders, shares, strict=True):
        run(make_journal, folder, int(options.revisions / _REVISIONS_A_BLOCK), share)
    found: list[list[Measured]] = [[], []]
    for _ in range(_TURNS):
        for folder, measured in zip(folders, found, strict=True):
            with database(url, "replay") as store:
                measured.append(run(replay_and_purge, f"{folder}/full", store))
    return [sorted(measured, key=lambda one: one.rate)[_TURNS // 2] for measured in found]


def replay_and_purge(folder: str, url: str) -> tuple[int, float]:
    """Ingest and project until no redaction is open, as the command does."""
    checkpoint(url)
    with timed() as seconds:
        done = replay_sources(url, local_sources(folder), Settings())
        found = hide(url, discover(("strandline.projections",)), DATABASE_ONLY)
    assert (done.mark, found) == (done.blocks - 1, [])
    return done.revisions, seconds[0]


def make_journal(folder: str, blocks: int, share: float) -> tuple[int, float]:
    """Write a journal in which that share of blocks redacts."""
    with timed() as seconds:
        made = simulate(Path(folder), blocks, seed=1, format=Format.ION_BINARY, redactions=share)
    return made.revisions, seconds[0]


def purge(url: str, redactions: int) -> tuple[int, float]:
    """Purge redactions that arrive at once from a store whose read models all have the data."""
    projections = discover(("strandline.projections",))
    documents, redacting = _blocks(redactions)
    with connect(url) as connection:
        _take(JournalWriter(connection), documents)
        advance(connection)
    project(url, projections)
    with connect(url) as connection:
        _take(JournalWriter(connection), redacting)
    with timed() as seconds:
        with connect(url) as connection:
            advance(connection)
        project(url, projections)
        with connect(url) as connection:
            done = issue_hidden(connection, projections, DATABASE_ONLY)
    assert done.receipts == redactions
    return redactions, seconds[0]


def _blocks(count: int) -> tuple[list[Block], list[Block]]:
    """Make licences, inserted by a statement with a literal and then changed, and a redaction of each insertion."""
    random = Random(1)
    maker = BlockMaker(new_id(random))
    ids = [new_id(random) for _ in range(count)]
    documents = list(_written(maker, ids))
    redacting = [
        _block(maker, "EXEC redact_revision ?, ?, ?", redactions=[NewRedaction(2 * index, _TABLE, id_, 0)])
        for index, id_ in enumerate(ids)
    ]
    return documents, redacting


def _written(maker: BlockMaker, ids: Sequence[str]) -> Iterator[Block]:
    for id_ in ids:
        for version in (0, 1):
            data = {"licenceId": id_[:8], "status": "ACTIVE", "county": "Devon", "firstName": f"Name {id_}"}
            revision = NewRevision(id_, _TABLE, "Licence", version, data)
            yield _block(maker, f"UPDATE Licence SET firstName = 'Name {id_}'", revisions=[revision])


def _block(maker: BlockMaker, statement: str, **more: Any) -> Block:
    at = timestamp(1_600_000_000_000 + maker.next_sequence_no * 100)
    transaction_id = f"Tx{maker.next_sequence_no:020d}"
    statements = [Statement(statement, at)]
    return maker.make(transaction_id=transaction_id, tx_time=at, block_time=at, statements=statements, **more)


def _take(store: JournalWriter, blocks: Sequence[Block]) -> None:
    store.begin_strand(blocks[0]["blockAddress"]["strandId"], 0)
    for start in range(0, len(blocks), _AT_ONCE):
        decoded = decode(encode(blocks[start : start + _AT_ONCE], Format.ION_BINARY))
        assert decoded.rows is not None
        assert not decoded.faults
        store.intake([decoded.rows], source="benchmark")
