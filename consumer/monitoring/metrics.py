"""Counters of the shards' processes, which the worker reads from prometheus_client's files and shows.

PROMETHEUS_MULTIPROC_DIR names their folder. It must be set before this module is imported.
"""

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from strandline.consumer.intake.stream import StreamResult

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

RECORDS = Counter("strandline_records", "User records read from the stream, repetitions included.")
BLOCKS = Counter("strandline_blocks", "Blocks stored that were new.")
REVISIONS = Counter("strandline_revisions", "Revisions stored that were new.")
REFUSED = Counter("strandline_refused", "Records, blocks and revisions rejected at intake, repetitions included.")
RETRIES = Counter("strandline_store_failures", "Failed tries to store a batch.")
BATCH_RECORDS = Histogram(
    "strandline_batch_records", "User records in a batch.", buckets=(1, 10, 100, 1_000, 10_000, 100_000)
)
BATCH_SECONDS = Histogram(
    "strandline_batch_seconds",
    "Seconds from the delivery of a batch until it is stored and checkpointed.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300),
)
BEHIND = Gauge(
    "strandline_stream_behind_seconds",
    "Seconds between a shard's last batch and the end of the stream.",
    ["shard"],
    multiprocess_mode="livemax",
)


def count(taken: "StreamResult") -> None:
    """Count a stored batch."""
    RECORDS.inc(taken.records)
    BLOCKS.inc(taken.blocks)
    REVISIONS.inc(taken.revisions)
    REFUSED.inc(taken.refused)
    BATCH_RECORDS.observe(taken.records)
