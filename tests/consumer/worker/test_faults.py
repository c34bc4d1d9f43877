"""Network faults between the worker and its stores: in the end, every row is there once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from opensearchpy import OpenSearch

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.stores import Stores
from strandline.consumer.intake.stream import StreamIntake
from strandline.consumer.intake.stream_records import Received
from strandline.consumer.projection.discovery import discover
from strandline.consumer.projector import lease
from strandline.consumer.sinks.opensearch import bulk
from strandline.consumer.worker import projectors
from strandline.consumer.worker.projectors import ProjectorThreads
from strandline.journal.decode.stream import block_records
from strandline.journal.simulation.licensing import LicenceLedger
from strandline.journal.simulation.strand import SimulatedStrand
from tests.consumer.worker.live import wait_for
from tests.soak.ledger_model import LedgerModel
from tests.soak.outcome import Outcome, compared
from tests.soak.store_contents import StoreContents
from tests.streamed import ARN
from tests.tcp_proxy import Proxy, proxy

PROJECTIONS = discover(("strandline.projections",))
BLOCKS = 250
FAULTS = ("cut", "reset", "refuse", "delay", "black hole")


@pytest.fixture(scope="module")
def strand() -> tuple[LedgerModel, list[list[Received]]]:
    """A simulated ledger, and the records of its blocks."""
    written, records = LedgerModel(), []
    for block in SimulatedStrand(LicenceLedger, 3, BLOCKS, 0.08).make():
        written.add(block)
        records.append([Received(one.data, f"{len(records)}.{at}") for at, one in enumerate(block_records(ARN, block))])
    return written, records


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits of production."""
    monkeypatch.setattr(lease, "SECONDS", 2)
    monkeypatch.setattr(lease, "OUTSIDE_SECONDS", 12)
    monkeypatch.setattr(lease, "MARGIN_SECONDS", 2)
    monkeypatch.setattr(bulk, "REQUEST_SECONDS", 5.0)
    monkeypatch.setattr(bulk, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(projectors, "LONGEST_PAUSE", 0.5)
    monkeypatch.setattr(projectors, "IDLE_SECONDS", 2)


def meddle(between: Proxy, fault: str) -> None:
    if fault == "cut":
        between.cut()
    elif fault == "reset":
        between.reset()
    elif fault == "refuse":
        between.mode = "refuse"
        between.cut()
    elif fault == "delay":
        between.mode = "delay"
    else:
        between.mode = "black hole"


@contextmanager
def running(url: str, stores: Stores) -> Iterator[ProjectorThreads]:
    made = ProjectorThreads(url, PROJECTIONS, stores)
    made.start()
    try:
        yield made
    finally:
        made.stop()
        made.join(1)


def taken(url: str, records: Sequence[Sequence[Received]]) -> int:
    with connect(url) as connection:
        intake = StreamIntake(connection, stream="licences", shard="s", origin=0, trust_deletions=False)
        return intake.take([one for block in records for one in block]).mark


def troubled(made: ProjectorThreads, names: Sequence[str]) -> bool:
    """Return whether one of them fails, or is stuck."""
    return any(made.pulses[name].trouble for name in names) or bool(made.stuck(1.5))


@pytest.mark.parametrize("store", ["postgresql", "opensearch"])
def test_read_models_are_right_after_network_faults(
    database: str,
    opensearch: OpenSearch,
    opensearch_url: str,
    strand: tuple[LedgerModel, list[list[Received]]],
    store: str,
) -> None:
    written, records = strand
    names = [name for name, one in PROJECTIONS.items() if one.store == store]
    stores = StoreContents(database, opensearch)
    share = BLOCKS // (len(FAULTS) + 1)
    taken(database, records[:share])
    with proxy(database if store == "postgresql" else opensearch_url) as between:
        url = between.url if store == "postgresql" else database
        node = between.url if store == "opensearch" else opensearch_url
        search = OpenSearch(hosts=[node], timeout=5 if store == "opensearch" else 30, max_retries=0)
        for at, fault in enumerate(FAULTS, start=1):
            # A worker whose projectors hang ends, and is started again.
            with running(url, Stores(url, search)) as made:
                wait_for(lambda before=at * share - 1: stores.position() >= before)
                meddle(between, fault)
                last = (at + 1) * share if at < len(FAULTS) else BLOCKS
                mark = taken(database, records[at * share : last])
                if fault in ("refuse", "black hole"):
                    wait_for(lambda made=made: troubled(made, names))
                    between.mode = "pass"
                if fault != "black hole":
                    wait_for(lambda mark=mark: stores.position() >= mark)
            between.mode = "pass"
            between.cut()
        with running(url, Stores(url, search)):
            wait_for(lambda: stores.position() == BLOCKS - 1)
        search.close()
    assert compared(written.expected(), stores.rows(), kills=0) == Outcome()
    assert stores.with_data() == 0
    assert not written.withheld().keys() & stores.texts()
