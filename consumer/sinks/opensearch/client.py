"""What OpenSearch is asked besides bulk writes."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from threading import Event
from typing import Any, NamedTuple, TypeVar

import msgspec
from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError, NotFoundError, OpenSearchException, TransportError
from urllib3.exceptions import NewConnectionError

from strandline.consumer.sinks.contract import StoreFailed, StoreLacks

T = TypeVar("T")

# How long an answer is waited for, here and by the server: a lease outlives two of these.
SECONDS = 10
LIMITS = {"request_timeout": SECONDS, "timeout": f"{SECONDS}s", "cluster_manager_timeout": f"{SECONDS}s"}
_PAGE = 2_000
_SCROLL = "2m"
_SHARD = "indices.*.shards.*"
_WRITTEN = f"indices.*.uuid,{_SHARD}.routing.primary,{_SHARD}.seq_no,{_SHARD}.commit.user_data.history_uuid"


class _Hit(msgspec.Struct):
    id: str = msgspec.field(name="_id")
    source: msgspec.Raw = msgspec.field(name="_source")


class _Hits(msgspec.Struct):
    hits: list[_Hit]


class _Page(msgspec.Struct):
    hits: _Hits
    scroll_id: str = msgspec.field(name="_scroll_id")


_JSON = {"content-type": "application/json"}
_READ_PAGE = msgspec.json.Decoder(_Page)


def count(client: OpenSearch, name: str) -> int:
    """How many rows there are under an alias; nested documents are not counted apart."""

    def ask() -> int:
        client.indices.refresh(index=name)
        return int(client.count(index=name)["count"])

    return asked(ask)


class Written(NamedTuple):
    """All that was ever written to an index: of each shard its history and the number of operations in it."""

    uuid: str
    shards: tuple[tuple[str, str, int], ...]

    @property
    def operations(self) -> int:
        return sum([operations for *_, operations in self.shards])


def written(client: OpenSearch, name: str) -> Written | None:
    """The same as before exactly where nothing was written since; None while something is, or where it cannot be told.

    OpenSearch numbers the operations of a shard from 0, without gaps once all are done.
    """
    parameters = {"level": "shards", "filter_path": _WRITTEN}
    found = asked(lambda: client.indices.stats(index=name, metric="docs", params=parameters))
    (index,) = found["indices"].values()
    shards = []
    for number, copies in sorted(index["shards"].items()):
        for copy in copies:
            if copy["routing"]["primary"]:
                numbers = copy["seq_no"]
                if numbers["local_checkpoint"] != numbers["max_seq_no"]:
                    return None
                shards.append((number, copy["commit"]["user_data"]["history_uuid"], numbers["max_seq_no"] + 1))
    return Written(index["uuid"], tuple(shards)) if len(shards) == len(index["shards"]) else None


def row_hash(row_id: str, source: bytes) -> int:
    """Of a row as it is stored, byte by byte; ids and versions of sources are in it."""
    return int.from_bytes(hashlib.sha256(row_id.encode() + b"\0" + source).digest()[:16], "big")


def summary(client: OpenSearch, name: str, stop: Event | None = None) -> tuple[int, int]:
    """The number of rows of an index, and the sum of their hashes; raises `StoreFailed` where it is to stop."""
    rows = digest = 0
    asked(lambda: client.indices.refresh(index=name))
    for hits in _pages(client, name):
        if stop and stop.is_set():
            raise StoreFailed("The reading of an index was broken off.")
        rows += len(hits)
        digest += sum([row_hash(hit.id, bytes(hit.source)) for hit in hits])
    return rows, digest


def _pages(client: OpenSearch, name: str) -> Iterator[list[_Hit]]:
    page = _page(client, f"/{name}/_search?scroll={_SCROLL}", {"size": _PAGE, "sort": ["_doc"]})
    try:
        while page.hits.hits:
            yield page.hits.hits
            page = _page(client, "/_search/scroll", {"scroll_id": page.scroll_id, "scroll": _SCROLL})
    finally:
        with suppress(StoreFailed):
            asked(partial(client.clear_scroll, scroll_id=page.scroll_id))


def _page(client: OpenSearch, path: str, body: dict[str, Any]) -> _Page:
    """By a request below the client's, which would read every row into Python."""
    connection = client.transport.get_connection()
    _, _, text = asked(lambda: connection.perform_request("POST", path, body=msgspec.json.encode(body), headers=_JSON))
    return _READ_PAGE.decode(text)


def asked(ask: Callable[[], T]) -> T:
    """What OpenSearch answers; its errors without their texts, which may quote what was sent."""
    try:
        return ask()
    except ConnectionError as exc:
        unanswered = not isinstance(exc.info, NewConnectionError)
        raise StoreFailed(f"OpenSearch is not reachable ({type(exc).__name__}).", unanswered=unanswered) from None
    except NotFoundError:
        raise StoreLacks("OpenSearch does not have the index of this read model.") from None
    except TransportError as exc:
        raise StoreFailed(f"OpenSearch refuses (status {exc.status_code}, {exc.error}).") from None
    except OpenSearchException as exc:
        raise StoreFailed(f"OpenSearch fails ({type(exc).__name__}).") from None
