"""The stream to Kinesis: its records, their packing, resuming, and its end."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from strandline.cli.app import run
from strandline.consumer.database.migrate import migrate
from strandline.journal.decode.stream import StreamRecord, UserRecord, decode
from strandline.journal.errors import StrandlineError, UsageError
from strandline.ledger import Ledger
from strandline.ledger.publish import kinesis
from strandline.ledger.publish.kinesis import hash_key, unpacked
from strandline.ledger.publish.stream import Streamer
from strandline.ledger.redaction import redact_document
from tests.ledger.grafting import contents, replay
from tests.ledger.streams import open_stream, read_shards, read_stream

SOON = timedelta(hours=1)


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(kinesis, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(kinesis, "LONGEST_PAUSE", 0.001)
    with mock_aws():
        yield


@pytest.fixture
def client() -> Any:
    return open_stream("ledger")


@pytest.fixture
def grown(licences: Ledger) -> Ledger:
    """A journal of 32 blocks: a graft, the tables, thirty insertions of three documents each."""
    for number in range(30):
        licences.execute(lambda txn, n=number: [txn.insert("Licence", {"licenceId": f"n{n}/{i}"}) for i in range(3)])
    return licences


def records(client: Any) -> list[UserRecord]:
    return [one for raw in read_stream(client, "ledger") for one in unpacked(raw)]


def decoded(client: Any) -> list[StreamRecord]:
    return [decode(one.data) for one in records(client)]


def controls(client: Any) -> list[str]:
    return sorted(one.payload["controlRecordType"] for one in decoded(client) if one.type == "CONTROL")


def kinds(client: Any) -> Counter[str]:
    return Counter(one.type for one in decoded(client))


class Failing:
    """A client that fails on purpose: `refused` entries of the first call, or whole calls after some."""

    def __init__(self, client: Any, *, refused: int = 0, calls: int = 10**9) -> None:
        self._client, self._refused, self._calls = client, refused, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> Any:  # noqa: N803 boto3's names
        self._calls -= 1
        if self._calls < 0:
            raise KeyboardInterrupt
        refused, self._refused = min(self._refused, len(Records)), 0
        taken = Records[refused:]
        answers = self._client.put_records(StreamName=StreamName, Records=taken)["Records"] if taken else []
        return {"Records": [{"ErrorCode": "ProvisionedThroughputExceededException"}] * refused + answers}


def test_records_have_their_hashes_as_keys(grown: Ledger, database: str, client: Any) -> None:
    done = Streamer(database, client, "ledger").run()
    assert (done.blocks, done.last_no, done.completed) == (32, 31, False)
    assert kinds(client) == {"CONTROL": 1, "BLOCK_SUMMARY": 32, "REVISION_DETAILS": 91}
    assert controls(client) == ["CREATED"]
    for one in records(client):
        record = decode(one.data)
        if record.type == "BLOCK_SUMMARY":
            assert one.partition_key == record.payload["blockHash"].hex()
        elif record.type == "REVISION_DETAILS":
            assert one.partition_key == record.payload["revision"]["hash"].hex()


def test_packed_record_has_records_of_one_shard(grown: Ledger, database: str, client: Any) -> None:
    """KCL would drop the others."""
    done = Streamer(database, client, "ledger").run()
    shards = list(read_shards(client, "ledger"))
    for shard, raw in shards:
        first, last = (int(shard["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending"))
        keys = [one.partition_key for packed in raw for one in unpacked(packed.data)]
        assert len(keys) > 5
        assert all(first <= hash_key(key) <= last for key in keys)
        assert all(first <= hash_key(packed.partition_key) <= last for packed in raw)
    assert done.records == sum(len(raw) for _, raw in shards) < 124  # packed


def test_stream_resumes_where_it_stopped(grown: Ledger, database: str, client: Any) -> None:
    Streamer(database, client, "ledger").run()
    grown.execute(lambda txn: txn.insert("Licence", {"licenceId": "C1"}))
    again = Streamer(database, client, "ledger").run()
    assert (again.blocks, again.last_no) == (1, 32)
    assert kinds(client) == {"CONTROL": 1, "BLOCK_SUMMARY": 33, "REVISION_DETAILS": 92}


def test_interrupted_blocks_are_sent_again(
    grown: Ledger, database: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strandline.ledger.publish.stream.AT_A_TIME", 10)
    with pytest.raises(KeyboardInterrupt):
        Streamer(database, Failing(client, calls=3), "ledger").run()  # CREATED, and twice ten blocks
    assert kinds(client)["BLOCK_SUMMARY"] == 20
    done = Streamer(database, client, "ledger").run()
    assert done.blocks == 12
    assert kinds(client) == {"CONTROL": 1, "BLOCK_SUMMARY": 32, "REVISION_DETAILS": 91}


def test_position_moves_only_when_all_records_are_sent(
    grown: Ledger, database: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strandline.ledger.publish.stream.MOVE", "SELECT 1/0, %s::bigint, %s::text")
    with pytest.raises(Exception, match="zero"):
        Streamer(database, client, "ledger").run()
    monkeypatch.undo()
    assert Streamer(database, client, "ledger").run().blocks == 32
    assert kinds(client) == {"CONTROL": 1, "BLOCK_SUMMARY": 64, "REVISION_DETAILS": 182}


def test_refused_records_are_sent_again(grown: Ledger, database: str, client: Any) -> None:
    Streamer(database, Failing(client, refused=2), "ledger").run()
    assert kinds(client) == {"CONTROL": 1, "BLOCK_SUMMARY": 32, "REVISION_DETAILS": 91}


def test_stream_that_accepts_nothing_is_an_error(grown: Ledger, database: str, client: Any) -> None:
    class Throttled(Failing):
        def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> Any:  # noqa: N803
            return {"Records": [{"ErrorCode": "ProvisionedThroughputExceededException"}] * len(Records)}

    with pytest.raises(StrandlineError, match="accepts no more"):
        Streamer(database, Throttled(client), "ledger").run()
    with pytest.raises(StrandlineError, match="stream nowhere: it does not exist"):
        Streamer(database, client, "nowhere").run()


def test_second_streaming_process_is_refused(grown: Ledger, database: str, client: Any) -> None:
    class Meddling(Failing):
        def put_records(self, **more: Any) -> Any:
            with pytest.raises(StrandlineError, match="only one may"):
                Streamer(database, client, "ledger").run()
            return super().put_records(**more)

    assert Streamer(database, Meddling(client), "ledger").run().blocks == 32


def test_stream_completes_at_its_end_time(grown: Ledger, database: str, client: Any) -> None:
    (found,) = grown.execute(lambda txn: txn.find("Licence", "licenceId", "n29/0"))
    assert found.tx_time is not None
    end = found.tx_time + timedelta(milliseconds=1)
    while datetime.now(UTC) < end:
        time.sleep(0.001)
    grown.execute(lambda txn: txn.insert("Licence", {"licenceId": "too late"}))
    done = Streamer(database, client, "ledger", end).run(follow=True)
    assert (done.blocks, done.last_no, done.completed) == (32, found.sequence_no, True)
    assert controls(client) == ["COMPLETED", "CREATED"]
    again = Streamer(database, client, "ledger").run(follow=True)
    assert (again.blocks, again.records, again.completed) == (0, 0, True)


def test_stream_does_not_complete_before_its_end_time(grown: Ledger, database: str, client: Any) -> None:
    soon = datetime.now(UTC) + SOON
    assert not Streamer(database, client, "ledger", soon).run().completed
    assert controls(client) == ["CREATED"]
    assert not Streamer(database, client, "ledger", soon).run().completed
    with pytest.raises(UsageError, match="end time"):
        Streamer(database, client, "ledger", soon + SOON).run()


def test_stream_command(
    grown: Ledger, database: str, client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    until = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S")
    assert run(["ledger", "stream", "ledger", "--until", until, "--follow", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert answers["stream"] == "ledger"
    assert answers["completed"]
    assert run(["ledger", "stream", "ledger", "--until", "2001-01-01"]) == 2
    assert "end time" in capsys.readouterr().err


def test_store_fed_by_the_stream_knows_a_redacted_revision(
    grown: Ledger, database: str, client: Any, empty_database: str, tmp_path: Path
) -> None:
    (found, *_) = grown.execute(lambda txn: txn.find("Licence", "licenceId", "n3/1"))
    assert len(list(redact_document(grown, found.document_id))) == 1
    Streamer(database, client, "ledger").run()
    for number, raw in enumerate(read_stream(client, "ledger")):
        assert b"n3/1" not in raw
        (tmp_path / str(number)).write_bytes(raw)
    migrate(empty_database)
    replay(empty_database, tmp_path)
    assert contents(empty_database) == contents(database)
