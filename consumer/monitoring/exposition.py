"""The text of `/metrics`: counters of the shards' processes, and the state of the store and the projections."""

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import psutil
import psycopg
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores
from strandline.consumer.monitoring.status import Status, read_status
from strandline.consumer.projection.definition import Projection
from strandline.consumer.store.redactions import IS_HIDDEN, IS_IN_EFFECT, REDACTING_ABOVE
from strandline.consumer.store.streams import StreamState, read_streams
from strandline.journal.errors import StrandlineError

# Of redactions above the mark, and of those that some generation has not applied.
READ_OLDEST = f"""
    SELECT coalesce(extract(epoch FROM now() - min(since)), 0)::float8 FROM (
        SELECT block_time AS since FROM ({REDACTING_ABOVE}) AS above
        UNION ALL
        SELECT d.registered_at FROM journal.redaction d, journal.mark m
        WHERE {IS_IN_EFFECT} AND NOT {IS_HIDDEN}
    ) AS waiting"""
STATES = ("live", "completed", "silent")


class Exposition:
    """Text in Prometheus' format. If the store cannot be reached, `strandline_up` is 0 and its metrics are absent."""

    def __init__(
        self,
        url: str,
        folder: Path,
        projections: Mapping[str, Projection],
        silent_after: timedelta,
        stores: Stores = DATABASE_ONLY,
    ) -> None:
        self._folder = folder
        self._registry = CollectorRegistry()
        MultiProcessCollector(self._registry, path=str(folder))  # type: ignore[no-untyped-call]
        self._registry.register(_StoreCollector(url, projections, silent_after, stores))

    def text(self) -> bytes:
        """Return all metrics (`prometheus_client.CONTENT_TYPE_LATEST`); asks the store."""
        self._forget_dead_processes()
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Return the same as values; asks the store."""
        self._forget_dead_processes()
        return self._registry.collect()

    def _forget_dead_processes(self) -> None:
        for file in self._folder.glob("gauge_live*_*.db"):
            pid = int(file.stem.rpartition("_")[2])
            if not psutil.pid_exists(pid):
                mark_process_dead(pid, path=os.fspath(self._folder))  # type: ignore[no-untyped-call]


class _StoreCollector(Collector):
    def __init__(
        self, url: str, projections: Mapping[str, Projection], silent_after: timedelta, stores: Stores
    ) -> None:
        self._url = url
        self._stores = stores
        self._projections = projections
        self._silent_after = silent_after

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        try:
            with connect(self._url, application_name="strandline metrics") as connection:
                streams = read_streams(connection, self._silent_after)
                with connection.transaction():
                    oldest = connection.execute(READ_OLDEST).fetchone()
                status = read_status(connection, self._projections.values(), self._stores)
        except (psycopg.Error, StrandlineError):
            yield _gauge("up", "1 if the store can be reached.", 0)
            return
        yield _gauge("up", "1 if the store can be reached.", 1)
        yield from _journal(status, float(oldest[0]) if oldest else 0.0)
        yield from _streams(streams)
        yield from _projections(status)


def _journal(status: Status, oldest: float) -> Iterator[Metric]:
    before = status.origin - 1
    yield _gauge("mark", "The mark: the highest block up to which nothing is missing.", _or(status.mark, before))
    yield _gauge("head", "The head: the highest block in the store.", _or(status.head, before))
    yield _gauge("gaps", "Gaps between mark and head.", len(status.gaps))
    missing = sum(last - first + 1 for first, last in status.gaps)
    yield _gauge("gap_blocks", "Blocks that are missing between mark and head.", missing)
    yield _gauge("accepted_gaps", "Accepted gaps.", len(status.accepted_gaps))
    unverified = "Blocks up to the mark whose data no hash covers: known only from JSON."
    yield _gauge("unverified_blocks", unverified, status.claims.unverified_blocks)
    if status.claims.graft is not None:
        yield _gauge(
            "graft", "The first block that Strandline appended; absent if QLDB wrote all.", status.claims.graft
        )
    yield _gauge("rejected", "Rejections that are kept for inspection.", status.rejected)
    redactions = GaugeMetricFamily("strandline_redactions", "Redactions by state.", labels=["state"])
    redactions.add_metric(["pending"], status.redactions.pending)
    redactions.add_metric(["open"], status.redactions.open)
    redactions.add_metric(["done"], status.redactions.done)
    yield redactions
    yield _gauge("redactions_oldest_age_seconds", "Age of the oldest redaction pending or open.", oldest)


def _streams(streams: Iterable[StreamState]) -> Iterator[Metric]:
    state = GaugeMetricFamily("strandline_stream_state", "1 for the state a stream is in.", labels=["stream", "state"])
    heard = GaugeMetricFamily(
        "strandline_stream_heard_timestamp_seconds", "When the stream's last record was stored.", labels=["stream"]
    )
    for stream in streams:
        for name in STATES:
            state.add_metric([stream.name, name], float(stream.state == name))
        heard.add_metric([stream.name], stream.heard_at.timestamp())
    yield from (state, heard)


def _projections(status: Status) -> Iterator[Metric]:
    labels = ["projection"]
    position = GaugeMetricFamily("strandline_projection_position", "The last block applied.", labels=labels)
    lag_blocks = GaugeMetricFamily("strandline_projection_lag_blocks", "Blocks behind the mark.", labels=labels)
    lag = GaugeMetricFamily(
        "strandline_projection_lag_seconds", "Seconds behind the mark (ledger time).", labels=labels
    )
    parked = GaugeMetricFamily("strandline_projection_parked", "Parked documents.", labels=labels)
    failing = GaugeMetricFamily("strandline_projection_failing", "1 if its projector fails.", labels=labels)
    rebuild = GaugeMetricFamily("strandline_projection_needs_rebuild", "1 if it needs a rebuild.", labels=labels)
    for one in status.projections:
        if one.position is None:
            continue
        position.add_metric([one.name], one.position)
        lag_blocks.add_metric([one.name], one.lag_blocks)
        lag.add_metric([one.name], one.lag_seconds)
        parked.add_metric([one.name], one.parked)
        failing.add_metric([one.name], float(one.failure is not None))
        rebuild.add_metric([one.name], float(one.needs_rebuild))
    yield from (position, lag_blocks, lag, parked, failing, rebuild)


def _gauge(name: str, text: str, value: float) -> Metric:
    gauge = GaugeMetricFamily(f"strandline_{name}", text)
    gauge.add_metric([], value)
    return gauge


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
