"""The whole job as a user waits for it: from an export to all read models of the licence ledger.

In PostgreSQL alone, and with OpenSearch. Taking in, then the first generations of all read models, as `replay` does it;
beside one COPY of the journal's revisions as rows, one COPY of the rows of each read model, and one `parallel_bulk` of
the documents of each index. Then each first generation by itself, beside the rebuild of the same read model.

Documented figures: `python -m benchmarks whole --revisions 1000000 --forms ION_TEXT`.
"""

from collections.abc import Iterator

from benchmarks.journal import Baseline, checkpoint, make_journal, replay
from benchmarks.measuring import Figure, Measured, Options, database, run, server, timed
from benchmarks.rebuild import bulk_documents, copy_rows, node_for, rebuild_one, stores_of
from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.purge import hide
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.projection.discovery import discover

_REVISIONS_A_BLOCK = 1.65  # of the simulated licence ledger
READ_MODELS = """
    SELECT projection FROM projection.generation WHERE state = 'live' AND store = %s ORDER BY projection"""


def measure(options: Options) -> Iterator[Figure]:
    """Measure each form of the journal, without OpenSearch and with it."""
    with server(options.folder) as url, node_for(options.folder) as node:
        for form in options.forms:
            journal = str(options.folder / form)
            run(make_journal, journal, int(options.revisions / _REVISIONS_A_BLOCK), form)
            for stores, address in (("PostgreSQL", ""), ("with OpenSearch", node)):
                with database(url, f"whole_{len(stores)}") as store:
                    yield from _whole(f"{form}, {stores}", f"{journal}/full", store, address)
            with database(url, "whole_each") as store:
                run(replay, f"{journal}/full", store)
                yield from _each(form, store, node)


def _whole(subject: str, export: str, store: str, node: str) -> Iterator[Figure]:
    taken = run(replay, export, store)
    filled = run(fill_all, store, node)
    baselines = [Baseline(store, f"{export}.copy").copy()]
    baselines += [run(copy_rows, store, "", name) for name in _models(store, "postgresql")]
    baselines += [run(bulk_documents, store, node, name) for name in _models(store, "opensearch")]
    rows = taken.rows
    baseline = _sum(rows, baselines)
    whole = _sum(rows, [taken, filled])
    step = "COPY and parallel_bulk" if node else "COPY"
    yield Figure(subject, f"{step} of the same rows", baseline, 1.0)
    yield Figure(subject, "take in", taken, taken.rate / baselines[0].rate, "COPY of its rows")
    yield Figure(subject, "all first generations", filled, filled.seconds / taken.seconds, "seconds of taking in")
    yield Figure(subject, "the whole", whole, whole.rate / baseline.rate, step)


def _each(form: str, store: str, node: str) -> Iterator[Figure]:
    for name in _licensing():
        first = run(fill_one, store, node, name)
        again = run(rebuild_one, store, node, name)
        yield Figure(form, f"rebuild {name}", again, 1.0)
        ratio = first.seconds / again.seconds
        yield Figure(form, f"first generation of {name}", first, ratio, "seconds of its rebuild")


def _sum(rows: int, steps: list[Measured]) -> Measured:
    return Measured(rows, sum(step.seconds for step in steps), max(step.peak_mb for step in steps))


def _licensing() -> list[str]:
    return list(discover(("strandline.projections.licensing", "strandline.projections.ledger_activity")))


def _models(store: str, kind: str) -> list[str]:
    with connect(store) as connection:
        return [name for (name,) in connection.execute(READ_MODELS, [kind])]


def fill_all(store: str, node: str) -> tuple[int, float]:
    """Fill all read models that are on, and apply the redactions, as `replay` does after taking in."""
    projections = discover(("strandline.projections",))
    checkpoint(store)
    with timed() as seconds:
        residue = hide(store, projections, stores_of(store, node))
    assert not residue
    with connect(store) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM journal.revision").fetchone() or (0,)
    return rows, seconds[0]


def fill_one(store: str, node: str, name: str) -> tuple[int, float]:
    projection = discover(("strandline.projections",))[name]
    stores = stores_of(store, node)
    checkpoint(store)
    with timed() as seconds:
        project(store, {name: projection}, stores=stores)
    with connect(store) as connection:
        return stores.count(connection, projection), seconds[0]
