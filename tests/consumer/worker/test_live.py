"""The worker with KCL's real daemon: the read models are right, whatever is killed in between."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from strandline.consumer.worker.daemon import SHARD_MODULE
from strandline.journal.decode.stream import UserRecord, decode
from strandline.ledger.publish.kinesis import feed
from tests.consumer.worker.conftest import BLOCKS
from tests.consumer.worker.live import (
    WAIT_SECONDS,
    Cloud,
    Worker,
    contents,
    family,
    in_read_models,
    mark,
    replay,
    scalar,
    wait_for,
    worker,
)
from tests.consumer.worker.projecting import ingest
from tests.journals import STRAND
from tests.tcp_proxy import proxy

TIP = BLOCKS - 1
FIRST = 40  # where the stream begins
LOST = range(200, 203)


@pytest.fixture(autouse=True)
def as_client(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def replayed(database: str, journal: Path) -> dict[str, list[Any]]:
    """The same journal, replayed from its last export and then projected."""
    replay(database, journal / "full")
    return contents(database)


@pytest.fixture
def store(empty_database: str) -> str:
    from strandline.consumer.database.migrate import migrate

    migrate(empty_database)
    return empty_database


def number_of(record: UserRecord) -> int | None:
    payload = decode(record.data).payload
    address = payload.get("blockAddress") or payload.get("revision", {}).get("blockAddress")
    return address["sequenceNo"] if address else None


def test_restarts_kills_and_gaps_lose_nothing(
    cloud: Cloud,
    store: str,
    streamed: list[UserRecord],
    journal: Path,
    replayed: dict[str, list[Any]],
    tmp_path: Path,
) -> None:
    name = cloud.environment["STRANDLINE_STREAM"]
    sent = [one for one in streamed if (at := number_of(one)) is None or (at >= FIRST and at not in LOST)]
    third = len(sent) // 3
    feed(name, sent[:third])
    with worker(cloud, store, tmp_path) as first:
        wait_for(lambda: scalar(store, "SELECT count(*) FROM journal.block") > 50, [first])
        wait_for(lambda: first.get("readyz")[0] == 200, [first])
        assert first.stop() == 0
    assert {lease["checkpoint"] for lease in cloud.leases().values()}.isdisjoint({"TRIM_HORIZON"})
    assert scalar(store, "SELECT ended_at IS NOT NULL FROM projection.worker")
    feed(name, sent[third : 2 * third])
    with worker(cloud, store, tmp_path) as second:
        wait_for(lambda: any(line["event"] == "batch" for line in second.log()), [second])
        # The last batch of the first run was checkpointed: nothing of it came again.
        assert taken([first, second]) <= 2 * third
        second.kill()
    feed(name, sent[2 * third :])
    with worker(cloud, store, tmp_path) as third_one:
        complete = "SELECT completed_at IS NOT NULL FROM journal.stream"
        wait_for(lambda: scalar(store, complete) and taken([first, second, third_one]) >= len(sent), [third_one])
        assert mark(store) == -1
        assert "strandline_gaps 2.0" in third_one.get("metrics")[1]
        replay(store, journal / "full")
        wait_for(lambda: in_read_models(store) == TIP, [third_one])
        assert third_one.stop() == 0
    assert contents(store) == replayed
    assert scalar(store, "SELECT count(*) FROM journal.rejected") == 0


def taken(workers: Sequence[Worker]) -> int:
    """Records, repetitions too, of the batches that were stored."""
    return sum(line["records"] for one in workers for line in one.log() if line["event"] == "batch")


def test_two_workers_survive_kill_reshard_and_outage(
    cloud: Cloud, store: str, streamed: list[UserRecord], replayed: dict[str, list[Any]], tmp_path: Path
) -> None:
    name = cloud.environment["STRANDLINE_STREAM"]
    third = len(streamed) // 3
    feed(name, streamed[:third])
    with (
        proxy(store) as between,
        worker(cloud, between.url, tmp_path, "one") as one,
        worker(cloud, between.url, tmp_path, "two") as two,
    ):
        wait_for(lambda: {lease.get("leaseOwner") for lease in cloud.leases().values()} == {"one", "two"}, [one, two])
        wait_for(lambda: scalar(store, "SELECT count(*) FROM journal.block") > 50, [one, two])

        between.mode = "refuse"
        between.cut()
        feed(name, streamed[third : 2 * third])
        wait_for(lambda: any(line["event"] == "store failed" for line in [*one.log(), *two.log()]), [one, two])
        assert one.get("readyz")[0] == 503
        before = {key: lease["checkpoint"] for key, lease in cloud.leases().items()}
        between.mode = "pass"

        wait_for(lambda: all(cloud.leases()[key]["checkpoint"] != before[key] for key in before), [one, two])
        # The daemon ends because of it, and then the worker; the other one takes over.
        [process] = [found for found in family(one)[1:] if SHARD_MODULE in found.cmdline()]
        process.kill()
        shard = cloud.shards()[0]
        first, last = (int(shard["HashKeyRange"][key]) for key in ("StartingHashKey", "EndingHashKey"))
        cloud.kinesis.split_shard(
            StreamName=name, ShardToSplit=shard["ShardId"], NewStartingHashKey=str((first + last) // 2)
        )
        cloud.wait_until_active()
        feed(name, streamed[2 * third :])
        wait_for(lambda: in_read_models(store) == TIP, [two])
        assert two.stop() == 0
        assert one.process.wait(WAIT_SECONDS) == 1
    assert contents(store) == replayed
    assert scalar(store, "SELECT count(*) FROM journal.rejected") == 0
    with psycopg.connect(store) as connection:
        assert connection.execute("SELECT completed_at IS NOT NULL FROM journal.stream").fetchone() == (True,)


def test_worker_on_the_store_of_another_ledger_is_not_ready(
    cloud: Cloud, database: str, streamed: list[UserRecord], tmp_path: Path
) -> None:
    ingest(database)  # the small journal
    feed(cloud.environment["STRANDLINE_STREAM"], streamed[:100])
    # By enhanced fan-out: the other tests poll.
    with worker(cloud, database, tmp_path, STRANDLINE_FAN_OUT="true") as one:
        wait_for(lambda: any(line["event"] == "batch rejected" for line in one.log()), [one])
        status, body = one.get("readyz")
        assert status == 503
        assert "records of another strand are rejected" in body
        assert STRAND in body
        assert one.get("livez")[0] == 200
        assert one.stop() == 0
    errors = [line for line in one.log() if line["event"] == "batch rejected"]
    assert errors
    assert cloud.consumers() == ["strandline"]
    assert {line["level"] for line in errors} == {"error"}
    assert all(STRAND in line["fault"] for line in errors)
    assert mark(database) == 8
