"""kill -9 of rebuilds, in the database and in OpenSearch, while readers read: ten kills a round."""

import os
import tempfile
import time
from pathlib import Path
from random import Random

from opensearchpy import OpenSearch

from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.discovery import discover
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests.databases import migrated_database
from tests.faults import kills
from tests.faults import rebuilds as left
from tests.opensearch.node import node_of_its_own
from tests.soak.outcome import Outcome, compared
from tests.soak.redacted_strings import redacted_strings, resurrected
from tests.soak.server import Server, server

KILLS = 5  # of each store, in each round


def rebuilds(seconds: float, seed: int) -> Outcome:
    """Kill rebuilds of all read models: readers see the same rows, and no table or index is left over."""
    random, deadline, outcome = Random(seed), time.monotonic() + seconds, Outcome()
    with (
        tempfile.TemporaryDirectory(prefix="strandline-soak-") as folder,
        server() as where,
        node_of_its_own(Path(folder)) as node,
    ):
        os.environ["STRANDLINE_OPENSEARCH_URL"] = node.url  # for the processes that are killed
        client = OpenSearch(hosts=[node.url], timeout=60, max_retries=3)
        try:
            while outcome == Outcome() or time.monotonic() < deadline:
                journal = Path(folder) / f"journal-{random.getrandbits(32)}"
                outcome += _round(where, client, journal, random)
                client.indices.delete(index=",".join(f"{name}_*" for name in left.OUTSIDE))
        finally:
            client.close()
            del os.environ["STRANDLINE_OPENSEARCH_URL"]
    return outcome


def _round(where: Server, client: OpenSearch, journal: Path, random: Random) -> Outcome:
    simulate(journal, random.randint(300, 1500), random.getrandbits(32), Format.ION_BINARY)
    with migrated_database(*where) as url:
        kills.take_in_whole(url, journal / "full")
        project(url, discover(["strandline.projections"]), stores=Stores(url, client))
        before, met, moved = left.shown(url, client), 0, 0
        for names in (left.IN_DATABASE, left.OUTSIDE):
            command = left.in_small_parts(names)
            seconds = kills.seconds_of(command, url)
            for _ in range(KILLS):
                met += kills.kill_somewhere(command, url, random, seconds)
                moved += left.shown(url, client) != before
                left.wait_for_leases(url)
            kills.run(left.as_called(names), url)
        found = compared(
            before, left.shown(url, client), kills=met, resurrected=resurrected(url, redacted_strings(journal))
        )
        odd = len(left.orphans(url, client)) + moved
        return found + Outcome(duplicated=odd) if odd else found
