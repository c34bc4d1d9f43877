"""What OpenSearch is asked besides bulk writes."""

from collections.abc import Callable
from typing import TypeVar

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError, NotFoundError, OpenSearchException, TransportError

from consumer.sinks.outside import StoreFailed

T = TypeVar("T")


def count(client: OpenSearch, name: str) -> int:
    """How many rows there are under an alias; nested documents are not counted apart."""

    def ask() -> int:
        client.indices.refresh(index=name)
        return int(client.count(index=name)["count"])

    return asked(ask)


def asked(ask: Callable[[], T]) -> T:
    """What OpenSearch answers; its errors without their texts, which may quote what was sent."""
    try:
        return ask()
    except ConnectionError as exc:
        raise StoreFailed(f"OpenSearch is not reachable ({type(exc).__name__}).") from None
    except NotFoundError:
        raise StoreFailed("OpenSearch does not have the index of this read model.") from None
    except TransportError as exc:
        raise StoreFailed(f"OpenSearch refuses (status {exc.status_code}, {exc.error}).") from None
    except OpenSearchException as exc:
        raise StoreFailed(f"OpenSearch fails ({type(exc).__name__}).") from None
