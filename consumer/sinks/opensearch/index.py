"""The index of a generation in OpenSearch: strict mappings from the projection's columns, and its analyzers."""

from typing import Any

from strandline.consumer.projection.definition import (
    COMPOSED_SOURCE_COLUMNS,
    SOURCE_COLUMNS,
    ComposedProjection,
    Projection,
)

# How long the versions of deleted rows are remembered: very much longer than a lease, so that whatever a dead projector
# sent meets them. OpenSearch's own minute is not.
GC_DELETES = "1h"

# How soon what was written can be found. Said to each index: one that is not told refreshes once a second, and not at
# all while nobody has searched it for 30 seconds, so that the next reader waits for it.
REFRESH = "200ms"
COMPLETED = {"index": {"refresh_interval": REFRESH, "translog": {"durability": "request"}}}
# Nobody reads one that is being filled: that it becomes searchable now and then spares doing all of it at the end. What
# it has taken a crash of OpenSearch may lose, up to its completion.
BARE = {"index": {"refresh_interval": "1s", "translog": {"durability": "async"}}}

_TERM = {"type": "keyword", "ignore_above": 8191}  # Lucene's longest term has 32,766 bytes
_MOMENT = {"type": "date", "format": "strict_date_optional_time"}
FIELDS: dict[str, dict[str, Any]] = {
    "text": _TERM,
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "bigint": {"type": "long"},
    "numeric": {"type": "double"},
    "timestamptz": _MOMENT,
    "date": _MOMENT,
    "jsonb": {"type": "object", "enabled": False},
    "text[]": _TERM,
    "bigint[]": {"type": "long"},
}
SOURCE_FIELDS = {
    "source_document": {"type": "keyword"},
    "source_version": {"type": "long"},
    "source_block": {"type": "long"},
    "source_key": _TERM,
}


def source_names(projection: Projection) -> tuple[str, ...]:
    """The fields that say where a row comes from."""
    return COMPOSED_SOURCE_COLUMNS if isinstance(projection, ComposedProjection) else SOURCE_COLUMNS


def index_body(projection: Projection, relation: str, *, bare: bool = False) -> dict[str, Any]:
    """Settings and mappings; `_meta` says what the index is, to people and to `is_ours`.

    A bare one is neither refreshed soon nor durable until it gets the settings `COMPLETED` and is flushed.
    """
    properties: dict[str, Any] = {
        column.name: dict(column.mapping or FIELDS[column.type]) for column in projection.columns
    }
    properties |= {name: SOURCE_FIELDS[name] for name in source_names(projection)}
    index = BARE["index"] if bare else {"refresh_interval": REFRESH}
    settings: dict[str, Any] = {"index": {"gc_deletes": GC_DELETES, **index}}
    if projection.analysis:
        settings["analysis"] = dict(projection.analysis)
    meta = {
        "strandline": relation,
        "purpose": projection.purpose,
        "fields": {column.name: column.description for column in projection.columns},
    }
    return {"settings": settings, "mappings": {"dynamic": "strict", "_meta": meta, "properties": properties}}


def is_ours(mapping: Any, relation: str) -> bool:
    """Whether an index, by the answer to GET _mapping, is the one made for this generation.

    A bulk write to an index that somebody deleted makes a new one, with mappings guessed.
    """
    found = mapping.get(relation, {}).get("mappings", {}).get("_meta", {})
    return bool(found.get("strandline") == relation)
