"""The process of a shard, driven by KCL's protocol: no checkpoint runs ahead of the store."""

import io
import json
from base64 import b64encode
from collections.abc import Iterator
from threading import Timer
from typing import Any

import pytest
from amazon_kclpy.kcl import KCLProcess
from structlog.testing import capture_logs

from strandline.consumer import settings as settings_module
from strandline.consumer.settings import Settings, load_settings
from strandline.consumer.worker import shard
from strandline.consumer.worker.shard import ShardProcessor
from tests.consumer.worker.live import mark
from tests.journals import STRAND
from tests.streamed import streamed
from tests.tcp_proxy import Proxy, proxy


@pytest.fixture
def between(database: str) -> Iterator[Proxy]:
    with proxy(database) as made:
        yield made


@pytest.fixture
def settings(between: Proxy, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", between.url)
    monkeypatch.setenv("STRANDLINE_STREAM", "licences")
    monkeypatch.setenv("STRANDLINE_PATIENCE_SECONDS", "5")
    return load_settings()


class Daemon:
    """KCL's side of the protocol: gives lines, answers checkpoints, and notes how far the store was at each."""

    def __init__(self, url: str, *batches: list[bytes], end: str = "shutdownRequested") -> None:
        self._url = url
        self._lines = [{"action": "initialize", "shardId": "shard-1", "sequenceNumber": "0", "subSequenceNumber": 0}]
        for number, batch in enumerate(batches):
            records = [
                {
                    "action": "record",
                    "sequenceNumber": str(number),
                    "subSequenceNumber": sub,
                    "approximateArrivalTimestamp": 0,
                    "partitionKey": "k",
                    "data": b64encode(data).decode(),
                }
                for sub, data in enumerate(batch)
            ]
            self._lines.append({"action": "processRecords", "records": records, "millisBehindLatest": 0})
        self._lines.append({"action": end})
        self._answers: list[dict[str, Any]] = []
        self.checkpoints: list[tuple[str | None, int | None, int]] = []
        self.errors: list[str] = []

    def readline(self) -> str:
        waiting = self._answers or self._lines
        return json.dumps(waiting.pop(0)) + "\n" if waiting else ""

    def write(self, text: str) -> None:
        said = json.loads(text)
        if said["action"] == "checkpoint":
            self.checkpoints.append((said["sequenceNumber"], said["subSequenceNumber"], mark(self._url)))
            error = self.errors.pop(0) if self.errors else None
            names = ("action", "sequenceNumber", "subSequenceNumber", "error")
            answer = ("checkpoint", said["sequenceNumber"], said["subSequenceNumber"], error)
            self._answers.append(dict(zip(names, answer, strict=True)))

    def flush(self) -> None:
        """No data is buffered."""


def run(daemon: Daemon, settings: Settings) -> str:
    """Gives what was written to standard error."""
    errors = io.StringIO()
    processor = ShardProcessor(settings, trust_deletions=False)
    KCLProcess(processor, input_file=daemon, output_file=daemon, error_file=errors).run()
    return errors.getvalue()


def batches() -> list[list[bytes]]:
    data = [one.data for one in streamed()]
    return [data[:4], data[4:9], data[9:]]


def test_batch_is_stored_before_its_checkpoint(database: str, settings: Settings) -> None:
    given = batches()
    daemon = Daemon(database, *given)
    assert run(daemon, settings) == ""
    assert [one[:2] for one in daemon.checkpoints] == [
        *((str(number), len(batch) - 1) for number, batch in enumerate(given)),
        (None, None),
    ]
    # How far the store was when each was asked for.
    assert daemon.checkpoints[0][2] == 1
    assert [one[2] for one in daemon.checkpoints[2:]] == [8, 8]


def test_batch_of_another_strand_is_an_error_in_the_log(database: str, settings: Settings) -> None:
    other = [one.data for one in streamed("Another000000000000000")]
    with capture_logs() as logs:
        assert run(Daemon(database, batches()[0], other), settings) == ""
    [error] = [one for one in logs if one["log_level"] == "error"]
    assert (error["event"], error["records"]) == ("batch rejected", len(other))
    assert STRAND in error["fault"]
    assert "Another000000000000000" in error["fault"]


@pytest.mark.parametrize("fault", ["cut", "reset", "refuse", "delay"])
def test_outage_is_waited_for(
    database: str, settings: Settings, between: Proxy, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = Daemon(database, *batches())
    stored = shard.ShardProcessor._store
    calls = 0

    def fails_in_the_middle(self: ShardProcessor, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            if fault == "reset":
                between.reset()
            else:
                between.mode = "pass" if fault == "cut" else fault
                between.cut()
            Timer(1.0, lambda: setattr(between, "mode", "pass")).start()
        return stored(self, batch)

    monkeypatch.setattr(shard.ShardProcessor, "_store", fails_in_the_middle)
    assert run(daemon, settings) == ""
    assert [checkpoint[0] for checkpoint in daemon.checkpoints] == ["0", "1", "2", None]
    assert mark(database) == 8


def test_long_outage_ends_the_process_without_a_checkpoint(
    database: str, settings: Settings, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = Daemon(database, *batches())
    monkeypatch.setattr(shard.ShardProcessor, "initialize", lambda *_: setattr(between, "mode", "refuse"))
    quick = settings.model_copy(update={"patience_seconds": 1})
    with pytest.raises(SystemExit):
        run(daemon, quick)
    assert daemon.checkpoints == []


def test_unresponsive_store_ends_the_process_without_a_checkpoint(
    database: str, settings: Settings, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module, "HANG_SECONDS", 0)
    daemon = Daemon(database, *batches())
    stored = ShardProcessor._store

    def never_answered(self: ShardProcessor, batch: Any) -> Any:
        if daemon.checkpoints:
            between.mode = "black hole"
        return stored(self, batch)

    def given_up(_: ShardProcessor) -> None:
        between.mode = "refuse"  # instead of the process's end, so that this process continues
        between.cut()

    monkeypatch.setattr(ShardProcessor, "_store", never_answered)
    monkeypatch.setattr(ShardProcessor, "_give_up", given_up)
    quick = settings.model_copy(update={"patience_seconds": 1})
    with pytest.raises(SystemExit):
        run(daemon, quick)
    assert [checkpoint[0] for checkpoint in daemon.checkpoints] == ["0"]


def test_unexpected_error_ends_the_process_without_payload_in_logs(
    database: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = Daemon(database, *batches())

    def raises(*_: object) -> None:
        raise ValueError("a name and an address")

    monkeypatch.setattr(shard.StreamIntake, "take", raises)
    with pytest.raises(SystemExit):
        run(daemon, settings)
    assert daemon.checkpoints == []
    assert "address" not in "".join(capsys.readouterr())


def test_throttled_checkpoint_is_retried_but_not_a_lost_lease(
    database: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "LONGEST_PAUSE", 0.01)
    daemon = Daemon(database, batches()[0], end="leaseLost")
    daemon.errors = ["ThrottlingException", "ShutdownException"]
    assert run(daemon, settings) == ""
    assert len(daemon.checkpoints) == 2


def test_end_of_a_shard_is_checkpointed(database: str, settings: Settings) -> None:
    daemon = Daemon(database, batches()[0], end="shardEnded")
    run(daemon, settings)
    assert daemon.checkpoints[-1][:2] == (None, None)
