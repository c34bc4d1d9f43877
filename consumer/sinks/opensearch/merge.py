"""Makes the rows that were deleted from OpenSearch's indexes go from its files.

A deleted row stays in its segment until that is merged; and then still, so that a replica may catch up by it, for as
long as `index.soft_deletes.retention_lease.period` says (12 hours). So that is lowered, and the index flushed and
merged to one segment, until it holds no deleted row: OpenSearch looks for what it may let go of every 30 seconds.
Afterwards the setting is as it was.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionTimeout

from strandline.consumer.sinks.contract import StoreLacks
from strandline.consumer.sinks.opensearch.client import asked

PERIOD = "index.soft_deletes.retention_lease.period"
LOWERED = "0s"
# Four times as long as OpenSearch takes at most to look; a merge that is going on is waited for as long as it takes.
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 1.0
REQUEST_SECONDS = 30


def merge(client: OpenSearch, indexes: Sequence[str], *, physical: bool, ends: float | None = None) -> dict[str, str]:
    """Merge the indexes, one after the other, until none holds a deleted row; gives, for those that do, why.

    `physical` waits for searches that began before, too: they hold the old files. No merge is begun after `ends`, of
    the monotonic clock, nor one that the disk has no room for. An index that is gone holds nothing. Raises
    `StoreFailed`.
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
            held = {index: index.merged() for index in waiting}
            waiting = [index for index in waiting if held[index].reason(physical)]
            now = time.monotonic()
            if any(one.merges for one in held.values()):
                until = now + PATIENCE_SECONDS
            if now >= until or (ends is not None and now >= ends):
                break
            if waiting:
                time.sleep(PAUSE_SECONDS)
    return left | {index.name: held[index].reason(physical) or "" for index in waiting}


@dataclass(frozen=True)
class _Held:
    """What the copies of an index hold: deleted rows, operations in the log, searches that began, merges going on."""

    deleted: int
    logged: int
    searches: int
    merges: int

    def reason(self, physical: bool) -> str | None:
        """Why it is not done; None where it is."""
        if self.merges:
            return "it is being merged still"
        if self.deleted:
            return f"it holds {self.deleted:,} deleted rows still: it is being written to, or a copy of it is behind"
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
        """Why its merge may not be begun."""
        size = self._stats("store")["store"]["size_in_bytes"]
        nodes = asked(lambda: self._client.nodes.stats(metric="fs"))["nodes"].values()
        free = min((node["fs"]["total"]["available_in_bytes"] for node in nodes if "fs" in node), default=0)
        return (
            None if free > size else f"a merge takes up to {size:,} bytes, and a disk of OpenSearch has {free:,} left"
        )

    def period(self) -> str | None:
        found = asked(lambda: self._indices.get_settings(index=self.name, params={"flat_settings": "true"}))
        value: str | None = found[self.name]["settings"].get(PERIOD)
        return None if value == LOWERED else value  # one that was killed has left it so

    def set_period(self, value: str | None) -> None:
        parameters = {"ignore_unavailable": "true"}
        asked(lambda: self._indices.put_settings(index=self.name, body={PERIOD: value}, params=parameters))

    def merged(self) -> _Held:
        """What it holds after one more try; nothing where it is gone."""
        try:
            return self._merged()
        except StoreLacks:
            return _Held(0, 0, 0, 0)

    def _merged(self) -> _Held:
        self._flush()
        if self._held().merges == 0:
            asked(self._force_merge)
        self._flush()
        asked(lambda: self._indices.refresh(index=self.name))
        return self._held()

    def _force_merge(self) -> None:
        with suppress(ConnectionTimeout):  # it goes on
            parameters = {"max_num_segments": 1, "request_timeout": REQUEST_SECONDS}
            self._indices.forcemerge(index=self.name, params=parameters)

    def _flush(self) -> None:
        asked(lambda: self._indices.flush(index=self.name, params={"force": "true", "wait_if_ongoing": "true"}))

    def _held(self) -> _Held:
        found = self._stats("docs,translog,search,merge")
        search = found["search"]
        return _Held(
            deleted=found["docs"]["deleted"],
            logged=found["translog"]["operations"],
            searches=search["open_contexts"] + search.get("point_in_time_current", 0),
            merges=found["merges"]["current"],
        )

    def _stats(self, metric: str) -> Any:
        return asked(lambda: self._indices.stats(index=self.name, metric=metric))["_all"]["total"]


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
