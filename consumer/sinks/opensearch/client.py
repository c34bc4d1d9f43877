"""Requests to OpenSearch other than bulk writes."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import msgspec
from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError, NotFoundError, OpenSearchException, TransportError
from urllib3.exceptions import NewConnectionError

from strandline.consumer.sinks.contract import StoreFailed, StoreLacks, Summary

T = TypeVar("T")

# Seconds to wait for an answer, here and in the server: a lease outlives two of these.
SECONDS = 10
LIMITS = {"request_timeout": SECONDS, "timeout": f"{SECONDS}s", "cluster_manager_timeout": f"{SECONDS}s"}
LACKS_SHARDS = "OpenSearch answers without some of the index's shards."
_PAGE = 2_000
_SCROLL = "2m"


class _Hit(msgspec.Struct):
    id: str = msgspec.field(name="_id")
    source: msgspec.Raw = msgspec.field(name="_source")


class _Hits(msgspec.Struct):
    hits: list[_Hit]


class _Shards(msgspec.Struct):
    failed: int


class _Page(msgspec.Struct):
    hits: _Hits
    scroll_id: str = msgspec.field(name="_scroll_id")
    shards: _Shards = msgspec.field(name="_shards")


_JSON = {"content-type": "application/json"}
_READ_PAGE = msgspec.json.Decoder(_Page)


def count(client: OpenSearch, name: str) -> int:
    """Return the number of rows under an alias, without nested documents."""

    refresh(client, name)
    return int(of_all_shards(asked(lambda: client.count(index=name)))["count"])


def refresh(client: OpenSearch, name: str) -> None:
    """Let whatever was written be found. Raises `StoreFailed`."""
    of_all_shards(asked(lambda: client.indices.refresh(index=name)))


def of_all_shards(answer: Any) -> Any:
    """Return the answer; raises `StoreFailed` if a shard did not contribute to it, which OpenSearch calls a success."""
    if answer["_shards"]["failed"]:
        raise StoreFailed(LACKS_SHARDS)
    return answer


def row_hash(row_id: str, source: bytes) -> int:
    """Return the hash of a row as it is stored, byte by byte, with its source."""
    return int.from_bytes(hashlib.sha256(row_id.encode() + b"\0" + source).digest()[:16], "big")


def summary(client: OpenSearch, name: str) -> Summary:
    """Return the number of rows of an index, and the sum of their hashes. Raises `StoreFailed`."""
    rows = checksum = 0
    refresh(client, name)
    for hits in _pages(client, name):
        rows += len(hits)
        checksum += sum([row_hash(hit.id, bytes(hit.source)) for hit in hits])
    return rows, checksum


def _pages(client: OpenSearch, name: str) -> Iterator[list[_Hit]]:
    path = f"/{name}/_search?scroll={_SCROLL}&allow_partial_search_results=false"
    page = _page(client, path, {"size": _PAGE, "sort": ["_doc"]})
    try:
        while page.hits.hits:
            yield page.hits.hits
            page = _page(client, "/_search/scroll", {"scroll_id": page.scroll_id, "scroll": _SCROLL})
    finally:
        with suppress(StoreFailed):
            asked(partial(client.clear_scroll, scroll_id=page.scroll_id))


def _page(client: OpenSearch, path: str, body: dict[str, Any]) -> _Page:
    """Read a page by a request below the client's own, which would decode every row."""
    connection = client.transport.get_connection()
    _, _, text = asked(lambda: connection.perform_request("POST", path, body=msgspec.json.encode(body), headers=_JSON))
    page = _READ_PAGE.decode(text)
    if page.shards.failed:
        raise StoreFailed(LACKS_SHARDS)
    return page


def asked(ask: Callable[[], T]) -> T:
    """Return the answer; raises `StoreFailed` without the text of an error, which may quote what was sent."""
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
