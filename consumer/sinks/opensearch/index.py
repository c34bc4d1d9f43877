"""The index of a generation in OpenSearch: strict mappings from the projection's columns, and its analyzers."""

from typing import Any

from strandline.consumer.projection.definition import (
    COMPOSED_SOURCE_COLUMNS,
    SOURCE_COLUMNS,
    ComposedProjection,
    Projection,
)

# How long OpenSearch remembers the versions of deleted rows: far longer than a lease, so that a late request of a dead
# projector meets them. Its default is a minute.
GC_DELETES = "1h"

# How soon a write can be found. Set for each index: by default one refreshes once a second, and not at all if nobody
# has searched it for 30 seconds, so that the next reader waits.
REFRESH = "200ms"
COMPLETED = {"index": {"refresh_interval": REFRESH, "translog": {"durability": "request"}}}
# Nobody reads an index that is being filled; that it refreshes now and then spares doing all of it at the end. A crash
# of OpenSearch may lose rows until it is complete.
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
    """Return the names of the source fields of a row."""
    return COMPOSED_SOURCE_COLUMNS if isinstance(projection, ComposedProjection) else SOURCE_COLUMNS


def index_body(projection: Projection, relation: str, store: str, *, bare: bool = False) -> dict[str, Any]:
    """Return settings and mappings; `_meta` describes the index to people and to `is_ours`.

    A bare index is neither refreshed soon nor durable until it gets the settings `COMPLETED` and is flushed.
    """
    properties: dict[str, Any] = {
        column.name: dict(column.mapping or FIELDS[column.type]) for column in projection.columns
    }
    properties |= {name: SOURCE_FIELDS[name] for name in source_names(projection)}
    index = BARE["index"] if bare else {"refresh_interval": REFRESH}
    settings: dict[str, Any] = {"index": {"gc_deletes": GC_DELETES, **index}}
    if projection.shards is not None:
        settings["index"]["number_of_shards"] = projection.shards
    if projection.analysis:
        settings["analysis"] = dict(projection.analysis)
    meta = {
        "strandline": relation,
        "store": store,
        "purpose": projection.purpose,
        "fields": {column.name: column.description for column in projection.columns},
    }
    return {"settings": settings, "mappings": {"dynamic": "strict", "_meta": meta, "properties": properties}}


def is_ours(mapping: Any, relation: str, store: str) -> bool:
    """Return whether an index, by the answer to GET _mapping, is the one that this store made for the generation.

    A bulk write to an index that somebody deleted makes a new one, with guessed mappings.
    """
    meta = _meta(mapping, relation)
    return (meta.get("strandline"), meta.get("store")) == (relation, store)


def others(mapping: Any, store: str) -> list[str]:
    """Return the names of the indexes of another store, by the answer to GET _mapping."""
    return sorted(name for name in mapping if "store" in (meta := _meta(mapping, name)) and meta["store"] != store)


def _meta(mapping: Any, name: str) -> dict[str, Any]:
    found = mapping.get(name, {}).get("mappings", {}).get("_meta", {})
    return found if isinstance(found, dict) else {}
