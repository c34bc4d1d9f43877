"""Expunges deleted rows from the files of OpenSearch's indexes.

A deleted row stays in its segment until that is merged, and longer, so that a replica can catch up with it: for the
`index.soft_deletes.retention_lease.period` of 12 hours. So this setting is lowered, and the index is flushed and merged
to one segment until it has no deleted row: OpenSearch checks every 30 seconds what it may expunge. Afterwards the
setting is restored.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionTimeout

from strandline.consumer.sinks.contract import StoreLacks
from strandline.consumer.sinks.opensearch.client import asked, of_all_shards, refresh

PERIOD = "index.soft_deletes.retention_lease.period"
LOWERED = "0s"
# Four of OpenSearch's checks; a merge that is running is waited for as long as it takes.
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 1.0
REQUEST_SECONDS = 30


def merge(client: OpenSearch, indexes: Sequence[str], *, physical: bool, ends: float | None = None) -> dict[str, str]:
    """Merge the indexes, one after the other, until none has a deleted row; return the reasons for those that do.

    `physical` also waits for earlier searches, which hold the old files. No merge begins after `ends`, of the
    monotonic clock, or without room on the disk. An index that is missing has no rows. Raises `StoreFailed`.
    """
    left: dict[str, str] = {}
    waiting = []
    for index in [_Index(client, name) for name in indexes]:
        if not index.exists():
            continue
        if ends is not None and time.monotonic() >= ends:
            left[index.name] = "the time was over"
        elif reason := index.hindrance():
            left[index.name] = reason
        else:
            waiting.append(index)
    with _lowered(waiting):
        until = time.monotonic() + PATIENCE_SECONDS
        while waiting:
            counts = {index: index.merged() for index in waiting}
            waiting = [index for index in waiting if counts[index].reason(physical)]
            now = time.monotonic()
            if any(one.merges for one in counts.values()):
                until = now + PATIENCE_SECONDS
            if now >= until or (ends is not None and now >= ends):
                break
            if waiting:
                time.sleep(PAUSE_SECONDS)
    return left | {index.name: counts[index].reason(physical) or "" for index in waiting}


@dataclass(frozen=True)
class _IndexCounts:
    """Counts of an index and its replicas: deleted rows, logged operations, open searches, running merges."""

    deleted: int
    logged: int
    searches: int
    merges: int

    def reason(self, physical: bool) -> str | None:
        """Return why the index is not expunged yet; None if it is."""
        if self.merges:
            return "it is being merged"
        if self.deleted:
            return f"it has {self.deleted:,} deleted rows: it is being written to, or a replica is behind"
        if physical and self.searches:
            return "a search that began before holds its files"
        return "it is being written to" if physical and self.logged else None


class _Index:
    def __init__(self, client: OpenSearch, name: str) -> None:
        self.name = name
        self._client = client
        self._indices = client.indices

    def exists(self) -> bool:
        return bool(asked(lambda: self._indices.exists(index=self.name)))

    def hindrance(self) -> str | None:
        """Return why its merge must not begin; None if it may."""
        size = self._stats("store")["store"]["size_in_bytes"]
        nodes = asked(lambda: self._client.nodes.stats(metric="fs"))["nodes"].values()
        free = min((node["fs"]["total"]["available_in_bytes"] for node in nodes if "fs" in node), default=0)
        return (
            None if free > size else f"a merge needs up to {size:,} bytes, and a disk of OpenSearch has {free:,} free"
        )

    def period(self) -> str | None:
        found = asked(lambda: self._indices.get_settings(index=self.name, params={"flat_settings": "true"}))
        value: str | None = found[self.name]["settings"].get(PERIOD)
        return None if value == LOWERED else value  # left by a merge that was killed

    def set_period(self, value: str | None) -> None:
        parameters = {"ignore_unavailable": "true"}
        asked(lambda: self._indices.put_settings(index=self.name, body={PERIOD: value}, params=parameters))

    def merged(self) -> _IndexCounts:
        """Try once more; return what the index has then, nothing if it is missing."""
        try:
            return self._merged()
        except StoreLacks:
            return _IndexCounts(0, 0, 0, 0)

    def _merged(self) -> _IndexCounts:
        self._flush()
        if self._counts().merges == 0:
            asked(self._force_merge)
        self._flush()
        refresh(self._client, self.name)
        return self._counts()

    def _force_merge(self) -> None:
        with suppress(ConnectionTimeout):  # the merge continues
            parameters = {"max_num_segments": 1, "request_timeout": REQUEST_SECONDS}
            self._indices.forcemerge(index=self.name, params=parameters)

    def _flush(self) -> None:
        parameters = {"force": "true", "wait_if_ongoing": "true"}
        of_all_shards(asked(lambda: self._indices.flush(index=self.name, params=parameters)))

    def _counts(self) -> _IndexCounts:
        found = self._stats("docs,translog,search,merge")
        search = found["search"]
        return _IndexCounts(
            deleted=found["docs"]["deleted"],
            logged=found["translog"]["operations"],
            searches=search["open_contexts"] + search.get("point_in_time_current", 0),
            merges=found["merges"]["current"],
        )

    def _stats(self, metric: str) -> Any:
        return of_all_shards(asked(lambda: self._indices.stats(index=self.name, metric=metric)))["_all"]["total"]


@contextmanager
def _lowered(indexes: Sequence[_Index]) -> Iterator[None]:
    before: dict[_Index, str | None] = {}
    try:
        for index in indexes:
            before[index] = index.period()
            index.set_period(LOWERED)
        yield
    finally:
        for index, value in before.items():
            index.set_period(value)
