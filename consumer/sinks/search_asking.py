"""What OpenSearch is asked besides bulk writes."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError, NotFoundError, OpenSearchException, TransportError
from urllib3.exceptions import NewConnectionError

from consumer.sinks.outside import StoreFailed, StoreLacks

T = TypeVar("T")

# How long an answer is waited for, here and by the server: a lease outlives two of these.
SECONDS = 10
LIMITS = {"request_timeout": SECONDS, "timeout": f"{SECONDS}s", "cluster_manager_timeout": f"{SECONDS}s"}
_PAGE = 2_000
_SCROLL = "2m"


def count(client: OpenSearch, name: str) -> int:
    """How many rows there are under an alias; nested documents are not counted apart."""

    def ask() -> int:
        client.indices.refresh(index=name)
        return int(client.count(index=name)["count"])

    return asked(ask)


def summary(client: OpenSearch, name: str) -> tuple[int, int]:
    """The number of rows of an index, and the sum of their hashes, ids and versions of sources among what is hashed."""
    rows = digest = 0
    asked(lambda: client.indices.refresh(index=name))
    for hits in _pages(client, name):
        rows += len(hits)
        for hit in hits:
            text = json.dumps([hit["_id"], hit["_source"]])
            digest += int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    return rows, digest


def _pages(client: OpenSearch, name: str) -> Iterator[list[Any]]:
    parameters = {"scroll": _SCROLL, "filter_path": "_scroll_id,hits.hits._id,hits.hits._source"}
    body = {"size": _PAGE, "sort": ["_doc"]}
    answer = asked(lambda: client.search(index=name, body=body, params=parameters))
    scroll = answer.get("_scroll_id")
    try:
        while hits := answer.get("hits", {}).get("hits", []):
            yield hits
            following = {"scroll_id": scroll, "scroll": _SCROLL}
            answer = asked(partial(client.scroll, body=following, params=parameters))
            scroll = answer.get("_scroll_id", scroll)
    finally:
        with suppress(StoreFailed):
            asked(lambda: client.clear_scroll(scroll_id=scroll))


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
