"""After kills between any two steps there is one receipt a store and level, nothing lost, nothing back."""

from pathlib import Path
from random import Random

from opensearchpy import OpenSearch

from strandline.consumer.generations.stores import Stores
from tests.consumer.erasure import kills
from tests.consumer.erasure.canaries import canaries
from tests.consumer.erasure.kills import Exports
from tests.databases import migrated_database

KILLS = 10


def test_process_killed_anywhere_ends_as_if_undisturbed(
    postgres_url: str,
    migrated_template: str,
    opensearch: OpenSearch,
    opensearch_url: str,
    tmp_path: Path,
) -> None:
    """Steps for which OpenSearch needs half a minute are left to the longer runs (tests/soak)."""
    exports = Exports.of(canaries(), tmp_path)
    outside = ("--opensearch", opensearch_url)
    with migrated_database(postgres_url, migrated_template) as url:
        undisturbed = Stores(url, opensearch)
        kills.whole_run(undisturbed, exports.early, *outside)
        steps = kills.whole_run(undisturbed, exports.whole, *outside)
        expected = kills.shown(undisturbed)
    assert len(expected["receipts"]) == 12 * 4
    with migrated_database(postgres_url, migrated_template) as url:
        stores = Stores(url, opensearch)
        kills.whole_run(stores, exports.early, *outside)
        met = kills.kill_often(stores, exports.whole, *outside, random=Random(6), steps=steps, times=KILLS)
        assert met >= KILLS // 2
        kills.whole_run(stores, exports.whole, *outside)
        assert kills.shown(stores) == expected
        assert list(kills.failures(stores, exports.made.strings)) == []
