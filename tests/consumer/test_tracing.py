"""Traces of a worker's work, which hold no payload."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from strandline.consumer import tracing
from strandline.consumer.settings import Settings
from strandline.consumer.worker.projectors import ProjectorThreads
from strandline.consumer.worker.shard import ShardProcessor
from strandline.journal.decode import stream
from tests.consumer.erasure.canaries import WITHHELD, canaries
from tests.consumer.worker.live import wait_for
from tests.consumer.worker.projecting import PROJECTIONS

ARN = "arn:aws:qldb:eu-west-2:1:stream/s/0"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    made = InMemorySpanExporter()
    tracing.start_tracing(made)
    yield made
    tracing.stop_tracing()


class Given:
    """The input of KCL: records, and a checkpointer that accepts everything."""

    def __init__(self, data: list[bytes]) -> None:
        self.shard_id, self.sequence_number, self.millis_behind_latest = "shard-1", "0", 0
        self.records = [Record(number, one) for number, one in enumerate(data)]
        self.checkpointer = self

    def checkpoint(self, *_: object) -> None:
        """Accept it."""


class Record:
    def __init__(self, number: int, data: bytes) -> None:
        self.binary_data, self.sequence_number, self.sub_sequence_number = data, str(number), 0


def shard(url: str) -> ShardProcessor:
    made = ShardProcessor(Settings(database_url=url, stream="licences"), trust_deletions=False)
    made.initialize(Given([]))
    return made


def text_of(spans: tuple[ReadableSpan, ...]) -> str:
    """All that an exporter could send, events and their tracebacks included."""
    return "\n".join(span.to_json() for span in spans)


def test_spans_of_a_worker_have_no_payload(database: str, exporter: InMemorySpanExporter) -> None:
    made = canaries()
    records = [one.data for block in made.blocks for one in stream.block_records(ARN, block)]
    processor = shard(database)
    processor.process_records(Given(records))
    processor.lease_lost(None)
    worker = ProjectorThreads(database, PROJECTIONS)  # not before: it moves the mark, too
    worker.start()
    try:
        wait_for(
            lambda: {"batch", "mark", "projection", "purge"} <= {one.name for one in exporter.get_finished_spans()}
        )
    finally:
        worker.stop()
        assert worker.join(30)
    spans = exporter.get_finished_spans()
    [batch] = [one for one in spans if one.name == "batch"]
    assert batch.attributes == {
        "strandline.shard": "shard-1",
        "strandline.records": len(records),
        "strandline.blocks": len(made.blocks),
        "strandline.revisions": batch.attributes["strandline.revisions"],
        "strandline.refused": 0,
    }
    # Each look at the mark is a span; one that did not move it has no number of blocks.
    [mark] = [one for one in spans if one.name == "mark" and one.attributes]
    assert mark.attributes["strandline.blocks"] == len(made.blocks)
    assert mark.parent is not None
    assert mark.parent.span_id == batch.context.span_id
    register = [dict(one.attributes or {}) for one in spans if (one.attributes or {}).get("strandline.projection")]
    assert {"licence_register", "licence_history"} <= {one["strandline.projection"] for one in register}
    assert {one["strandline.last"] for one in register} >= {len(made.blocks) - 1}
    receipts = [one.attributes["strandline.receipts"] for one in spans if one.name == "purge" and one.attributes]
    assert sum(receipts) == len(made.strings)
    told = text_of(spans)
    assert not [canary for canary in [*made.strings, WITHHELD, "SELECT", "INSERT"] if canary in told]


def test_error_is_its_type_alone(exporter: InMemorySpanExporter) -> None:
    def fail(text: str) -> None:
        with tracing.span("batch") as facts:
            facts["records"] = 3
            raise ValueError(text)

    with pytest.raises(ValueError, match="Canary"):
        fail("CanaryBird")
    wait_for(lambda: len(exporter.get_finished_spans()) == 1)
    [failed] = exporter.get_finished_spans()
    assert failed.attributes == {"strandline.records": 3, "error.type": "ValueError"}
    assert not failed.status.is_ok
    assert failed.events == ()
    assert "CanaryBird" not in text_of((failed,))


def test_what_found_nothing_to_do_is_not_exported(exporter: InMemorySpanExporter) -> None:
    with tracing.span("mark"):
        pass
    with tracing.span("mark") as facts:
        facts["mark"] = 7
    wait_for(lambda: bool(exporter.get_finished_spans()))
    assert [one.attributes for one in exporter.get_finished_spans()] == [{"strandline.mark": 7}]


def test_span_without_tracing_is_nothing() -> None:
    with tracing.span("mark") as facts:
        facts["mark"] = 7


class Collector(HTTPServer):
    """A collector of OTLP over HTTP on the loopback address."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receive)
        self.received: list[ExportTraceServiceRequest] = []


class Receive(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, Collector)
        self.server.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


PROGRAM = """
from strandline.consumer import tracing
tracing.start_tracing()
with tracing.span("batch") as facts:
    facts["records"] = 3
"""


def run_program(port: int, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", **environment},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip


def test_process_sends_its_last_spans_when_it_ends() -> None:
    with Collector() as collector:
        thread = Thread(target=collector.serve_forever)
        thread.start()
        try:
            run_program(collector.server_port, OTEL_EXPORTER_OTLP_COMPRESSION="none")
        finally:
            collector.shutdown()
            thread.join()
    [request] = collector.received
    [resource] = request.resource_spans
    assert {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"] == "strandline"
    [span] = resource.scope_spans[0].spans
    assert (span.name, span.attributes[0].key, span.attributes[0].value.int_value) == ("batch", "strandline.records", 3)


def test_collector_that_is_away_does_not_hold_the_process() -> None:
    started = time.monotonic()
    run_program(1)
    assert time.monotonic() - started < 6
