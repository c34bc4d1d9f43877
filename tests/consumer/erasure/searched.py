"""More read models of the canaries' licences: in OpenSearch, and composed by a key that is itself a canary.

Also searches the indexes and their files.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from opensearchpy import OpenSearch

from strandline.consumer.projection.definition import (
    Column,
    ComposedProjection,
    Lookup,
    Projection,
    Revision,
    RowProjection,
)
from strandline.consumer.projection.discovery import discover
from tests.opensearch.node import BUILT, GIVEN, HOME

COLUMNS = (Column("name", "text", ""), Column("seen", "boolean", ""))


def rows(revision: Revision) -> Iterator[Mapping[str, object]]:
    yield {"name": revision.text("firstName"), "seen": True}


def keys(revision: Revision) -> Iterator[str]:
    if name := revision.text("firstName"):
        yield name


def compose(key: str, lookup: Lookup) -> Iterator[Mapping[str, object]]:
    for one in lookup("Licence", "firstName", key):
        yield {"document": one.document_id, "name": one.text("firstName")}


CURRENT = RowProjection("searched_now", "Test.", ("Licence",), "current", "analysts", COLUMNS, rows, store="opensearch")
HISTORY = RowProjection(
    "searched_past", "Test.", ("Licence",), "history", "analysts", COLUMNS, rows, store="opensearch"
)
COMPOSED = ComposedProjection(
    "by_name",
    "Test.",
    {"Licence": ("firstName",)},
    "analysts",
    (Column("document", "text", ""), Column("name", "text", "")),
    keys,
    compose,
    key=("document",),
)
COMPOSED_OUTSIDE = replace(COMPOSED, name="searched_by_name", store="opensearch")
OUTSIDE: tuple[Projection, ...] = (CURRENT, HISTORY, COMPOSED_OUTSIDE)
LICENSING = discover(("strandline.projections.licensing",))
HERE: dict[str, Projection] = {name: one for name, one in LICENSING.items() if one.store == "postgresql"}
HERE[COMPOSED.name] = COMPOSED
PROJECTIONS: dict[str, Projection] = {**HERE, **{one.name: one for one in OUTSIDE}}


def indexes(client: OpenSearch) -> list[str]:
    return sorted(name for one in OUTSIDE for name in client.indices.get(index=f"{one.name}_*"))


def searched(client: OpenSearch, strings: Sequence[str]) -> dict[str, set[str]]:
    """Return the strings that a search finds, by index."""
    found = {}
    for index in indexes(client):
        client.indices.refresh(index=index)
        hits = str(client.search(index=index, body={"size": 10_000})["hits"]["hits"])
        found[index] = {string for string in strings if string in hits}
    return {index: strings for index, strings in found.items() if strings}


def in_files(client: OpenSearch, strings: Sequence[str]) -> set[str]:
    """Return the strings in the indexes' files: in the log as they are, in the segments as Lucene reads them.

    Deleted rows count. For a node on another machine, only its own answers can be searched.
    """
    if os.environ.get(GIVEN):
        deleted = client.indices.stats(index=",".join(indexes(client)), metric="docs")["_all"]["total"]["docs"][
            "deleted"
        ]
        return set(strings) if deleted else set()
    client.indices.flush(index=",".join(indexes(client)), params={"force": "true"})
    shards = [shard for index in indexes(client) for shard in _shards(client, index)]
    logs = b"".join(path.read_bytes() for shard in shards for path in (shard / "translog").iterdir())
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{BUILT}/jars/*", str(Path(__file__).parents[2])]
    command[-1] += "/opensearch/ReadFiles.java"
    folders = [str(shard / "index") for shard in shards]
    read = subprocess.run([*command, *folders], capture_output=True, text=True, check=True)
    return {string for string in strings if string in read.stdout or string.encode() in logs}


def files(client: OpenSearch) -> set[str]:
    """Return the names of the files of all indexes."""
    return {
        path.name for index in indexes(client) for shard in _shards(client, index) for path in shard.glob("index/*")
    }


def _shards(client: OpenSearch, index: str) -> list[Path]:
    id_ = client.indices.get_settings(index=index)[index]["settings"]["index"]["uuid"]
    return [path for path in Path(os.environ[HOME]).glob(f"data/**/indices/{id_}/*") if (path / "index").is_dir()]
