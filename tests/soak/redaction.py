"""kill -9 of a process that replays redactions, projects, writes receipts and expunges, in both stores."""

import sys
import tempfile
import time
from pathlib import Path
from random import Random

from opensearchpy import OpenSearch

from strandline.consumer.generations.stores import Stores
from tests.consumer.erasure import kills
from tests.consumer.erasure.canaries import canaries
from tests.consumer.erasure.kills import Exports
from tests.databases import migrated_database
from tests.opensearch.node import node_of_its_own
from tests.soak.outcome import Outcome, compared
from tests.soak.server import Server, server

KILLS = 10


def redaction(seconds: float, seed: int) -> Outcome:
    """Kill it between any two of its steps, ten times a round, also while OpenSearch merges."""
    random, deadline, outcome = Random(seed), time.monotonic() + seconds, Outcome()
    with server() as where, tempfile.TemporaryDirectory(prefix="strandline-soak-") as name:
        folder = Path(name)
        with node_of_its_own(_new(folder)) as node:
            client = OpenSearch(hosts=[node.url], timeout=60, max_retries=0)
            while outcome == Outcome() or time.monotonic() < deadline:
                exports = Exports.of(canaries(random.randint(2, 12), str(random.random())), _new(folder))
                outcome += _round(where, client, ["--opensearch", node.url, "--merge"], exports, random)
            client.close()
    return outcome


def _round(where: Server, client: OpenSearch, options: list[str], exports: Exports, random: Random) -> Outcome:
    with migrated_database(*where) as url:
        undisturbed = Stores(url, client)
        kills.whole_run(undisturbed, exports.early, *options)
        steps = kills.whole_run(undisturbed, exports.whole, *options)
        expected = kills.shown(undisturbed)
    _clear(client)
    with migrated_database(*where) as url:
        stores = Stores(url, client)
        kills.whole_run(stores, exports.early, *options)
        met = kills.kill_often(stores, exports.whole, *options, random=random, steps=steps, times=KILLS)
        kills.whole_run(stores, exports.whole, *options)
        wrong = list(kills.failures(stores, exports.made.strings))
        sys.stderr.writelines(f"{one}\n" for one in wrong)
        found = compared(expected, kills.shown(stores), kills=met, resurrected=sum("back" in one for one in wrong))
    _clear(client)
    return found + Outcome(lost=sum("back" not in one for one in wrong))


def _new(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def _clear(client: OpenSearch) -> None:
    for name in client.indices.get(index="*"):
        client.indices.delete(index=name, params={"ignore_unavailable": "true"})
