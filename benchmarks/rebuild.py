"""Rebuilds of read models: in PostgreSQL beside one COPY of the finished rows into a table with the same indexes; in
OpenSearch beside a bare `parallel_bulk` of the finished documents into an index with the same mappings.

While they run, a reader asks all the time: how long it waited at most is that of any rebuild and its swap.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.helpers import parallel_bulk
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from benchmarks.journal import checkpoint, make_journal, replay
from benchmarks.measuring import Figure, Measured, Options, database, run, server, timed
from strandline.consumer.database.connection import connect
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.rebuild import rebuild
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores, open_stores
from strandline.consumer.projection.discovery import discover
from strandline.consumer.settings import Settings
from strandline.consumer.sinks.opensearch.index import index_body
from tests.opensearch.node import node_of_its_own

IN_DATABASE, OUTSIDE = "licence_register", "licence_search"
TIMES = 7
# Of a hundred thousand a rebuild takes a third of a second, and a third of that goes into what does not grow with them.
REVISIONS = 500_000

_REVISIONS_A_BLOCK = 1.65  # of the simulated licence ledger
_PAGE = 2_000
_NODE_MEGABYTES = 2_048  # of Java: the indexes of a million revisions, one rebuilt beside another
READ_RELATION = "SELECT relation FROM projection.generation WHERE projection = %s AND state = 'live'"


def measure(options: Options) -> Iterator[Figure]:
    journal = str(options.folder / "journal")
    run(make_journal, journal, int(options.revisions / _REVISIONS_A_BLOCK), "ION_BINARY")
    with server(options.folder) as url, database(url, "rebuild") as store, node_for(options.folder) as node:
        run(replay, f"{journal}/full", store)
        for name, baseline, step, read in (
            (IN_DATABASE, copy_rows, "COPY", read_database),
            (OUTSIDE, bulk_documents, "parallel_bulk", read_outside),
        ):
            run(project_first, store, node, name)
            yield from _of_one(store, node, name, baseline, step, read)


def _of_one(
    store: str,
    node: str,
    name: str,
    baseline: Callable[..., tuple[int, float]],
    step: str,
    read: Callable[[str, str, str], object],
) -> Iterator[Figure]:
    baselines, rebuilds, waits = [], [], []
    for _ in range(TIMES):
        baselines.append(run(baseline, store, node, name))
        rebuilds.append(run(rebuild_one, store, node, name))
        with _reader(read, store, node, name) as longest:
            run(rebuild_one, store, node, name)
        waits.append(longest[0])
    rate = median(one.rate for one in baselines)
    yield Figure(name, f"{step}, the median of {TIMES}", _nearest(baselines, rate), 1.0)
    rebuilt = _nearest(rebuilds, median(one.rate for one in rebuilds))
    # Each beside the baseline before it: a machine's speed changes from minute to minute.
    ratio = median(one.rate / before.rate for one, before in zip(rebuilds, baselines, strict=True))
    yield Figure(name, f"rebuild, the median of {TIMES}", rebuilt, ratio, step)
    yield Figure(name, "the longest wait of a reader", Measured(1, max(waits), 0))


def _nearest(measured: list[Measured], rate: float) -> Measured:
    return min(measured, key=lambda one: abs(one.rate - rate))


@contextmanager
def node_for(folder: Path) -> Iterator[str]:
    """The node of STRANDLINE_OPENSEARCH_URL, or one of its own."""
    if given := os.environ.get("STRANDLINE_OPENSEARCH_URL"):
        yield given
        return
    with node_of_its_own(folder, _NODE_MEGABYTES) as node:
        yield node.url


def stores_of(store: str, node: str) -> Stores:
    """Return the stores, OpenSearch at `node`, which is off if that is empty."""
    return open_stores(Settings(opensearch_url=node or None, opensearch_prefix=prefix_of(store)), store)


def prefix_of(store: str) -> str:
    """Return the prefix of a store's indexes: several stores share a node."""
    return f"{conninfo_to_dict(store)['dbname']}-"


def project_first(store: str, node: str, name: str) -> tuple[int, float]:
    projection = discover(("strandline.projections",))[name]
    stores = stores_of(store, node)
    with timed() as seconds:
        project(store, {name: projection}, stores=stores)
    with connect(store) as connection:
        return stores.count(connection, projection), seconds[0]


def rebuild_one(store: str, node: str, name: str) -> tuple[int, float]:
    projections = discover(("strandline.projections",))
    stores = stores_of(store, node) if projections[name].store != "postgresql" else DATABASE_ONLY
    checkpoint(store)
    with timed() as seconds:
        done = rebuild(store, projections, name, stores=stores)
    assert done.swapped
    assert done.difference is None
    return done.rows, seconds[0]


def copy_rows(store: str, _: str, name: str) -> tuple[int, float]:
    """One binary COPY of the rows, in one transaction, into a table with the same keys and indexes."""
    checkpoint(store)
    with connect(store, role=None) as connection:
        (relation,) = connection.execute(READ_RELATION, [name]).fetchone() or ("",)
        table = Identifier("generation", relation)
        data = bytearray()
        save = SQL("COPY {} TO STDOUT (FORMAT binary)").format(table)
        with connection.cursor() as cursor, cursor.copy(save) as copy:
            for part in copy:
                data += part
        (rows,) = connection.execute(SQL("SELECT count(*) FROM {}").format(table)).fetchone() or (0,)
        connection.execute(SQL("CREATE TABLE public.baseline (LIKE {} INCLUDING INDEXES)").format(table))
        connection.commit()
        with (
            timed() as seconds,
            connection.transaction(),
            connection.cursor() as cursor,
            cursor.copy("COPY public.baseline FROM STDIN (FORMAT binary)") as copy,
        ):
            for start in range(0, len(data), 1 << 20):
                copy.write(bytes(data[start : start + (1 << 20)]))
        connection.execute("DROP TABLE public.baseline")
        connection.commit()
    return rows, seconds[0]


def bulk_documents(store: str, node: str, name: str) -> tuple[int, float]:
    """`parallel_bulk` as it is, of the documents as they stand in the index, into one with the same mappings.

    Refreshed once a second, as OpenSearch does it unless told, and until all can be found, as after a rebuild.
    """
    client = OpenSearch(hosts=[node], timeout=60, pool_maxsize=16)
    documents = list(_documents(client, prefix_of(store) + name))
    body = index_body(discover(("strandline.projections",))[name], "baseline", "benchmark")
    del body["settings"]["index"]["refresh_interval"]
    client.indices.create(index="baseline", body=body)
    try:
        with timed() as seconds:
            for done, _answer in parallel_bulk(client, documents, thread_count=os.cpu_count() or 4):
                assert done
            client.indices.refresh(index="baseline")
    finally:
        client.indices.delete(index="baseline")
        client.close()
    return len(documents), seconds[0]


def _documents(client: OpenSearch, name: str) -> Iterator[dict[str, Any]]:
    answer = client.search(index=name, body={"size": _PAGE, "sort": ["_doc"]}, params={"scroll": "2m"})
    while hits := answer["hits"]["hits"]:
        for hit in hits:
            yield {"_index": "baseline", "_id": hit["_id"], "_source": hit["_source"]}
        answer = client.scroll(body={"scroll_id": answer["_scroll_id"], "scroll": "2m"})


@contextmanager
def _reader(read: Callable[[str, str, str], object], store: str, node: str, name: str) -> Iterator[list[float]]:
    """Asks in a process of its own until the end; then the longest wait, in seconds, is in the list."""
    context = get_context("spawn")
    stop, ready, found = context.Event(), context.Event(), context.SimpleQueue()
    process = context.Process(target=_ask, args=(read, store, node, name, ready, stop, found))
    process.start()
    longest = [0.0]
    try:
        ready.wait()
        yield longest
    finally:
        stop.set()
        longest[0] = found.get()
        process.join()


def _ask(
    read: Callable[[str, str, str], Any], store: str, node: str, name: str, ready: Event, stop: Event, found: Any
) -> None:
    longest = 0.0
    with read(store, node, name) as ask:
        ask()
        ready.set()
        while not stop.is_set():
            started = time.perf_counter()
            assert ask() == 1
            longest = max(longest, time.perf_counter() - started)
    found.put(longest)


@contextmanager
def read_database(store: str, _: str, name: str) -> Iterator[Callable[[], int]]:
    """Reads one row of the read model, as an analyst."""
    with connect(store, role="strandline_analyst", autocommit=True) as connection:
        query = SQL("SELECT FROM read.{} LIMIT 1").format(Identifier(name))
        yield lambda: len(connection.execute(query).fetchall())


@contextmanager
def read_outside(store: str, node: str, name: str) -> Iterator[Callable[[], int]]:
    client = OpenSearch(hosts=[node], timeout=60, max_retries=0)
    index = prefix_of(store) + name
    yield lambda: len(client.search(index=index, body={"size": 1})["hits"]["hits"])
    client.close()
