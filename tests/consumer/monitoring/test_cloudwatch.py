"""Metrics in CloudWatch's embedded metric format."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from strandline.consumer.logging import start_logging
from strandline.consumer.monitoring.cloudwatch import MOST_METRICS, MetricLines
from strandline.consumer.monitoring.exposition import Exposition
from strandline.consumer.settings import Settings, load_settings
from strandline.consumer.worker.metrics_log import MetricsLog
from strandline.journal.errors import UsageError
from tests.consumer.worker.live import in_read_models, wait_for
from tests.consumer.worker.projecting import FILLED, PROJECTIONS, ingest, running


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    level, handlers = logging.root.level, logging.root.handlers[:]
    file = io.StringIO()
    start_logging("error", file=file)  # metrics are no events of some level
    yield file
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers


def check_format(line: dict[str, Any]) -> None:
    """The rules of the specification that concern these lines."""
    assert isinstance(line["_aws"]["Timestamp"], int)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive.keys() == {"Namespace", "Dimensions", "Metrics"}
    [dimensions] = directive["Dimensions"]
    assert 1 <= len(dimensions) <= 30
    assert all(isinstance(line[name], str) and line[name] for name in dimensions)
    assert 1 <= len(directive["Metrics"]) <= MOST_METRICS
    for metric in directive["Metrics"]:
        assert metric["Unit"] in ("Seconds", "Count")
        assert isinstance(line[metric["Name"]], int | float)


def test_counters_are_growth_and_gauges_are_values() -> None:
    registry = CollectorRegistry()
    records = Counter("strandline_records", "", registry=registry)
    lag = Gauge("strandline_lag_seconds", "", ["projection"], registry=registry)
    took = Histogram("strandline_batch_seconds", "", buckets=(1, 2), registry=registry)
    made = MetricLines("strandline", "one")

    def read(at: int) -> dict[str | None, dict[str, Any]]:
        lines = list(made.lines(registry.collect(), at))
        for line in lines:
            check_format(line)
        return {line.get("projection"): line for line in lines}

    records.inc(5)
    lag.labels("licence").set(3)
    took.observe(1.5)
    first = read(1_700_000_000_000)
    assert first.keys() == {None, "licence"}
    assert first[None]["_aws"]["Timestamp"] == 1_700_000_000_000
    assert (first[None]["application"], first[None]["worker_id"]) == ("strandline", "one")
    assert first[None]["strandline_records_total"] == 5
    assert (first[None]["strandline_batch_seconds_sum"], first[None]["strandline_batch_seconds_count"]) == (1.5, 1)
    assert not any("bucket" in name or "created" in name for name in first[None])
    assert first["licence"]["strandline_lag_seconds"] == 3
    [directive] = first["licence"]["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["application", "projection"]]
    assert directive["Metrics"] == [{"Name": "strandline_lag_seconds", "Unit": "Seconds"}]
    records.inc(2)
    second = read(1_700_000_060_000)
    assert (second[None]["strandline_records_total"], second[None]["strandline_batch_seconds_count"]) == (2, 0)
    assert second["licence"]["strandline_lag_seconds"] == 3


def test_many_metrics_are_spread_over_lines() -> None:
    registry = CollectorRegistry()
    for number in range(MOST_METRICS + 1):
        Gauge(f"strandline_{number}", "", registry=registry)
    lines = list(MetricLines("strandline", "one").lines(registry.collect(), 0))
    assert [len(line["_aws"]["CloudWatchMetrics"][0]["Metrics"]) for line in lines] == [MOST_METRICS, 1]


def test_worker_writes_what_the_exposition_shows(database: str, tmp_path: Path, log: io.StringIO) -> None:
    ingest(database)
    with running(database) as made:
        wait_for(lambda: in_read_models(database, FILLED) == 8 and not any(made.faults().values()))
    exposition = Exposition(database, tmp_path, PROJECTIONS, timedelta(hours=1))
    written = MetricsLog(Settings(cloudwatch_seconds=1, worker_id="one"), exposition)
    written.start()
    try:
        wait_for(lambda: "strandline_mark" in log.getvalue())
    finally:
        written.stop()
        assert written.join(10)
    lines = [json.loads(line) for line in log.getvalue().splitlines() if '"_aws"' in line]
    for line in lines:
        check_format(line)
    shown = {name for line in lines for name in line if name.startswith("strandline_")}
    families = exposition.text().decode()
    assert shown == {line.split()[2] for line in families.splitlines() if line.startswith("# TYPE")}
    assert next(line["strandline_mark"] for line in lines if "strandline_mark" in line) == 8
    assert {line["projection"] for line in lines if "projection" in line} >= set(FILLED)


def test_store_that_is_down_is_written(tmp_path: Path, log: io.StringIO) -> None:
    exposition = Exposition("postgresql://127.0.0.1:1/none", tmp_path, {}, timedelta(hours=1))
    MetricsLog(Settings(cloudwatch_seconds=60), exposition).write()
    [line] = map(json.loads, log.getvalue().splitlines())
    assert line["strandline_up"] == 0


def test_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_CLOUDWATCH_SECONDS", "60")
    monkeypatch.setenv("STRANDLINE_LOG_FORMAT", "text")
    with pytest.raises(UsageError, match="STRANDLINE_LOG_FORMAT=json"):
        load_settings()
