"""What is shown over HTTP."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from strandline.consumer.monitoring import metrics
from strandline.consumer.monitoring.exposition import Exposition
from strandline.consumer.monitoring.health import HealthServer, checks
from strandline.journal.errors import UsageError
from tests.consumer.worker.live import in_read_models, wait_for
from tests.consumer.worker.test_projectors import FILLED, PROJECTIONS, faults, running, take_in

COUNT = """
from strandline.consumer.monitoring import metrics
from strandline.consumer.intake.stream import StreamResult
metrics.count(StreamResult(records=7, blocks=2, revisions=3, refused=1, mark=1))
metrics.BEHIND.labels("shard-1").set(5)
"""


def samples(exposition: Exposition) -> dict[tuple[str, ...], float]:
    status, content_type, body = exposition()
    assert (status, content_type.partition(";")[0]) == (200, "text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_metrics_of_other_processes_and_of_the_store(database: str, tmp_path: Path) -> None:
    environment = {**os.environ, metrics.FOLDER: str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", COUNT], env=environment, check=True)
    take_in(database)
    with running(database) as made:
        wait_for(lambda: in_read_models(database, FILLED) == 8 and not any(faults(made).values()))
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


def test_metrics_while_the_store_is_away(tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1"
    assert samples(Exposition(url, tmp_path, PROJECTIONS, timedelta(hours=1))) == {("strandline_up",): 0}


def test_every_metric_keeps_to_prometheus_naming(database: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", COUNT], env={**os.environ, metrics.FOLDER: str(tmp_path)}, check=True)
    _, _, body = Exposition(database, tmp_path, PROJECTIONS, timedelta(hours=1))()
    for family in text_string_to_metric_families(body.decode()):
        assert family.name.startswith("strandline_")
        assert family.documentation.endswith(".")
        assert not family.name.endswith(("_ms", "_millis", "_minutes", "_count"))


def test_the_server_answers_its_routes_only() -> None:
    server = HealthServer("127.0.0.1:0", {"/livez": lambda: checks({"a": None}), "/readyz": lambda: checks({"a": "b"})})
    server.start()
    try:
        answers = {}
        for path in ("/livez", "/readyz?x=1", "/other"):
            client = HTTPConnection("127.0.0.1", server.port, timeout=5)
            client.request("GET", path)
            answer = client.getresponse()
            answers[path] = (answer.status, answer.read())
            client.close()
    finally:
        server.stop()
    assert {path: status for path, (status, _) in answers.items()} == {"/livez": 200, "/readyz?x=1": 503, "/other": 404}
    assert json.loads(answers["/readyz?x=1"][1]) == {"ok": False, "checks": {"a": "b"}}


def test_an_address_that_cannot_be_listened_on() -> None:
    with pytest.raises(UsageError, match="STRANDLINE_LISTEN"):
        HealthServer("192.0.2.1:80", {})
    with pytest.raises(UsageError, match="STRANDLINE_LISTEN"):
        HealthServer("127.0.0.1:99999", {})
