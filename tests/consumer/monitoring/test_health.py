"""Health and metrics over HTTP."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Semaphore

from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families

from strandline.consumer.http_server import HttpServer, listen_on
from strandline.consumer.monitoring import metrics
from strandline.consumer.monitoring.exposition import Exposition
from strandline.consumer.monitoring.health import application
from tests.consumer.worker.live import in_read_models, wait_for
from tests.consumer.worker.projecting import FILLED, PROJECTIONS, ingest, running

COUNT = """
from strandline.consumer.http_server import HttpServer, listen_on
from strandline.consumer.monitoring import metrics
from strandline.consumer.intake.stream import StreamResult
metrics.count(StreamResult(records=7, blocks=2, revisions=3, refused=1, mark=1))
metrics.BEHIND.labels("shard-1").set(5)
"""


def samples(exposition: Exposition) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(exposition.text().decode())
        for sample in family.samples
    }


def test_metrics_cover_other_processes_and_the_store(database: str, tmp_path: Path) -> None:
    environment = {**os.environ, metrics.FOLDER: str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", COUNT], env=environment, check=True)
    ingest(database)
    with running(database) as made:
        wait_for(lambda: in_read_models(database, FILLED) == 8 and not any(made.faults().values()))
        found = samples(Exposition(database, tmp_path, PROJECTIONS, timedelta(hours=1)))
    assert found["strandline_records_total",] == 14
    assert found["strandline_refused_total",] == 2
    assert ("strandline_stream_behind_seconds", "shard-1") not in found, "of processes that have ended"
    assert found["strandline_up",] == 1
    assert found["strandline_mark",] == found["strandline_head",] == 8
    assert found["strandline_redactions", "done"] + found["strandline_redactions", "open"] == 1
    assert found["strandline_stream_state", "live", "licences"] == 1
    assert {
        ("strandline_blocks_total",),
        ("strandline_revisions_total",),
        ("strandline_rejected",),
        ("strandline_gaps",),
        ("strandline_projection_lag_seconds", "licence_register"),
        ("strandline_projection_parked", "licence_register"),
        ("strandline_redactions", "pending"),
        ("strandline_redactions_oldest_age_seconds",),
        ("strandline_batch_records_count",),
        ("strandline_batch_seconds_count",),
    } <= found.keys()


def test_metrics_say_that_the_store_is_down(tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1"
    assert samples(Exposition(url, tmp_path, PROJECTIONS, timedelta(hours=1))) == {("strandline_up",): 0}


def test_metric_names_follow_prometheus(database: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", COUNT], env={**os.environ, metrics.FOLDER: str(tmp_path)}, check=True)
    body = Exposition(database, tmp_path, PROJECTIONS, timedelta(hours=1)).text()
    for family in text_string_to_metric_families(body.decode()):
        assert family.name.startswith("strandline_")
        assert family.documentation.endswith(".")
        assert not family.name.endswith(("_ms", "_millis", "_minutes", "_count"))


def test_health_server_answers_its_routes_only() -> None:
    app = application(lambda: {"a": None}, lambda: ({"a": "b"}, {"c": 1}), lambda: b"strandline_up 1\n")
    server = HttpServer(app, listen_on("127.0.0.1:0", "STRANDLINE_LISTEN"))
    server.start()
    answers = {}
    try:
        for path in ("/livez", "/readyz?x=1", "/metrics", "/other"):
            client = HTTPConnection("127.0.0.1", server.port, timeout=5)
            client.request("GET", path)
            answer = client.getresponse()
            answers[path] = (answer.status, answer.headers["Content-Type"], answer.read())
            client.close()
    finally:
        server.stop()
        assert server.join(10)
    assert answers["/livez"][:2] == (200, "application/json")
    assert answers["/readyz?x=1"][0] == 503
    assert json.loads(answers["/readyz?x=1"][2]) == {"ok": False, "c": 1, "checks": {"a": "b"}}
    assert answers["/metrics"] == (200, CONTENT_TYPE_LATEST, b"strandline_up 1\n")
    assert answers["/other"][0] == 404


def test_liveness_is_answered_while_readiness_waits() -> None:
    """Every thread waits for a store that does not answer."""
    waiting, over = Semaphore(0), Event()

    def ready() -> tuple[dict[str, str | None], dict[str, object]]:
        waiting.release()
        over.wait()
        return {}, {}

    server = HttpServer(application(dict, ready, bytes), listen_on("127.0.0.1:0", "STRANDLINE_LISTEN"))
    server.start()
    clients = [HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(60)]
    try:
        for client in clients:
            client.request("GET", "/readyz")
        for _ in range(40):  # the threads of Starlette
            assert waiting.acquire(timeout=30)
        live = HTTPConnection("127.0.0.1", server.port, timeout=30)
        live.request("GET", "/livez")
        assert live.getresponse().status == 200
        live.close()
    finally:
        over.set()
        for client in clients:
            client.close()
        server.stop()
        assert server.join(30)
