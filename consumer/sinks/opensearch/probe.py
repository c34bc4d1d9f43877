"""Asking an index for the rows that come from given revisions, as whoever searches would find them now."""

from collections.abc import Iterator, Sequence
from typing import Any

from opensearchpy import OpenSearch

from strandline.consumer.sinks.opensearch.client import asked

Key = tuple[str, int]  # document, version

AT_ONCE = 200  # a query has at most 1,024 clauses
MOST_ROWS = 10_000  # of one answer; rows without data are very much fewer


def rows_of(client: OpenSearch, index: str, keys: Sequence[Key]) -> Iterator[tuple[Key, dict[str, Any]]]:
    """The rows of the index that come from exactly these revisions, each with its fields; raises `StoreFailed`.

    Of one answer no more rows than `MOST_ROWS`.
    """
    asked(lambda: client.indices.refresh(index=index))
    for start in range(0, len(keys), AT_ONCE):
        query = {"bool": {"should": [_is_of(*key) for key in keys[start : start + AT_ONCE]]}}
        body = {"size": MOST_ROWS, "query": {"bool": {"filter": query}}}
        for hit in asked(lambda body=body: client.search(index=index, body=body))["hits"]["hits"]:  # type: ignore[misc]
            row = hit["_source"]
            yield (row["source_document"], row["source_version"]), row


def _is_of(document_id: str, version: int) -> dict[str, Any]:
    return {"bool": {"filter": [{"term": {"source_document": document_id}}, {"term": {"source_version": version}}]}}
