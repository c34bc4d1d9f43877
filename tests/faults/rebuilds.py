"""The results of rebuilds: the rows that readers see, and no leftover."""

import sys
import time
from collections.abc import Sequence

import psycopg
from opensearchpy import OpenSearch
from psycopg.sql import SQL, Identifier

from tests.faults.kills import Contents

IN_DATABASE = ("licence_register", "licence_history", "licence_points", "ledger_activity")
OUTSIDE = ("licence_search", "endorsement_search")

TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'generation'::regnamespace AND relkind = 'r'"
READ_GENERATIONS = """
    SELECT relation, state FROM projection.generation WHERE store = %s AND projection = ANY (%s)"""
HELD = "SELECT count(*) FROM projection.generation WHERE expires_at > clock_timestamp()"
PARKED = """
    SELECT projection, key, version, sequence_no, reason
    FROM projection.parked JOIN projection.generation USING (generation) WHERE state = 'live' ORDER BY 1, 2"""


def in_small_parts(names: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "tests.faults.rebuilding", *names]


def as_called(names: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "strandline.cli", "rebuild", *names, "--json"]


def wait_for_leases(url: str) -> None:
    """Until what a killed process held is free, so that the next one gets further before it is killed."""
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(HELD).fetchone() != (0,):
            time.sleep(0.1)


def shown(url: str, client: OpenSearch | None) -> Contents:
    """The rows of each read model, and what is parked, as readers see it."""
    found: Contents = {}
    with psycopg.connect(url, autocommit=True) as connection:
        for name in IN_DATABASE:
            rows = SQL("SELECT t::text FROM read.{} t ORDER BY 1").format(Identifier(name))
            found[name] = connection.execute(rows).fetchall()
        found["parked"] = connection.execute(PARKED).fetchall()
    for name in OUTSIDE if client else ():
        assert client
        client.indices.refresh(index=name)
        hits = client.search(index=name, body={"size": 10_000})["hits"]["hits"]
        found[name] = sorted((hit["_id"], str(hit["_source"])) for hit in hits)
    return found


def orphans(url: str, client: OpenSearch | None) -> set[str]:
    """Tables, indices and aliases that no generation accounts for, and generations that lack theirs."""
    with psycopg.connect(url, autocommit=True) as connection:
        tables = {name for (name,) in connection.execute(TABLES)}
        known = {one for one, _ in connection.execute(READ_GENERATIONS, ["postgresql", list(IN_DATABASE)])}
        held = dict(connection.execute(READ_GENERATIONS, ["opensearch", list(OUTSIDE)]).fetchall())
    odd = {name for name in tables ^ known if name.startswith(IN_DATABASE)}
    if client:
        live = {one for one, state in held.items() if state == "live"}
        odd |= set(client.indices.get(index=",".join(f"{name}_*" for name in OUTSIDE))) ^ set(held)
        odd |= set(client.indices.get_alias(name=",".join(OUTSIDE))) ^ live
    return odd
