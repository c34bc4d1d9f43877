"""The search models of the other ledgers, in a real OpenSearch: all there is to find, and nobody."""

import json
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.stores import Stores
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.projection.discovery import discover
from strandline.consumer.settings import Settings
from strandline.journal.make.format import Format
from strandline.journal.simulation.ledgers import LEDGERS
from strandline.journal.simulation.names import LedgerName
from strandline.journal.simulation.simulate import simulate
from strandline.journal.sources.source import local_sources

SEARCH = {
    LedgerName.WALLET: ("wallet_search", "SELECT count(*) FROM read.wallet_statement", "ACC-"),
    LedgerName.PROVENANCE: (
        "provenance_search",
        "SELECT count(*) FROM read.provenance_lineage WHERE kind IS NOT NULL",
        None,
    ),
    LedgerName.AI_AUDIT: ("ai_audit_search", "SELECT count(DISTINCT event_id) FROM read.ai_audit_timeline", "user-"),
}


@pytest.mark.parametrize("ledger", SEARCH, ids=str)
def test_simulated_ledger_can_be_searched(
    ledger: LedgerName, database: str, opensearch: OpenSearch, tmp_path: Path
) -> None:
    simulate(tmp_path, 150, 3, Format.ION_BINARY, kind=LEDGERS[ledger])
    replay_sources(database, local_sources(str(tmp_path / "full")), Settings(home=tmp_path, workers=1))
    project(database, discover([f"strandline.projections.{ledger}"]), stores=Stores(database, opensearch))
    name, counted, personal = SEARCH[ledger]
    with connect(database) as connection:
        (expected,) = connection.execute(counted).fetchone() or (0,)  # type: ignore[arg-type]
        assert connection.execute("SELECT count(*) FROM projection.parked").fetchone() == (0,)
    opensearch.indices.refresh(index=name)
    hits = opensearch.search(index=name, body={"size": 1000})["hits"]["hits"]
    assert len(hits) == expected > 0
    assert personal is None or personal not in json.dumps(hits)
