"""Searches of an index for the rows that come from given revisions."""

from collections.abc import Iterator, Sequence
from typing import Any

from opensearchpy import OpenSearch

from strandline.consumer.sinks.contract import Key
from strandline.consumer.sinks.opensearch.client import asked, of_all_shards, refresh

AT_ONCE = 200  # a query has at most 1,024 clauses
_COMPLETE = {"allow_partial_search_results": "false"}
MOST_ROWS = 10_000  # of one answer; rows without data are far fewer


def rows_of(client: OpenSearch, index: str, keys: Sequence[Key]) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Yield the rows of the index that come from exactly these revisions, with all their fields.

    Of one answer at most `MOST_ROWS` rows. Raises `StoreFailed`.
    """
    refresh(client, index)
    for start in range(0, len(keys), AT_ONCE):
        query = {"bool": {"should": [_is_of(*key) for key in keys[start : start + AT_ONCE]]}}
        body = {"size": MOST_ROWS, "query": {"bool": {"filter": query}}}
        # A shard that does not answer may have the rows that are looked for.
        answer = asked(lambda body=body: client.search(index=index, body=body, params=_COMPLETE))  # type: ignore[misc]
        for hit in of_all_shards(answer)["hits"]["hits"]:
            row = hit["_source"]
            yield (row["source_document"], row["source_version"]), row


def _is_of(document_id: str, version: int) -> dict[str, Any]:
    return {"bool": {"filter": [{"term": {"source_document": document_id}}, {"term": {"source_version": version}}]}}
